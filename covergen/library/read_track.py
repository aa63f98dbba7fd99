"""Read a track's tags, length and cover status."""

import errno
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mutagen.id3

from covergen.core.album import Track
from covergen.core.cover_encoding import is_own
from covergen.core.errors import TagError
from covergen.core.picture import is_image
from covergen.core.reasons import Reason
from covergen.library.containers import CONTAINERS, holds_covers, identify_stream, is_bare_name
from covergen.library.formats import id3, keys
from covergen.library.formats.embedded_picture import ICONS
from covergen.library.formats.texts_for_id3 import as_id3
from covergen.library.mutagen_errors import DAMAGE, tag_errors
from covergen.library.pictures_in_files import fault_in

_MAX_READ_BYTES = 64 << 20
_MIN_BYTES_PER_READ = 64  # so that a parser that loops over small reads stops as well
_MAX_TEXT_LENGTH = 1000
_MAX_SECONDS = 1e7

# If one of these is missing, other tags in the file are read too.
_LOOKED_FOR = ("title", "artist", "album", "date", "track_number")


class _BoundedReader(io.BufferedReader):
    """A binary file that returns at most 64 MiB in total, whatever sizes its headers contain.

    `failure` is the OSError that stopped reading, which mutagen would otherwise hide.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(str(path)))
        self.failure: OSError | None = None
        self._left = _MAX_READ_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file. Raises OSError (EFBIG) when the limit is reached."""
        limit = self._left if size is None or size < 0 else min(size, self._left)
        try:
            data = super().read(limit)
        except OSError as error:
            self.failure = error
            raise
        self._left = max(0, self._left - max(len(data), _MIN_BYTES_PER_READ))
        if not self._left:
            raise OSError(errno.EFBIG, f"stopped after reading {_MAX_READ_BYTES >> 20} MiB")
        return data


def read_track(path: Path, stat: os.stat_result) -> Track:
    """Read a file's tags, length and cover status, opening it once.

    Raises TagError: NOT_AUDIO if the content is not audio, UNREADABLE if it is damaged. If the
    system cannot read the file, the error's cause is the OSError.
    """
    try:
        with _BoundedReader(path) as reader:
            container = identify_stream(reader)
            if container in (None, "mp3") and is_bare_name(path.name):  # some start with an ID3 tag
                return _bare_track(path, stat, path.suffix.lower().removeprefix("."))
            if container and not holds_covers(container):
                return _bare_track(path, stat, container)
            if container is None:
                not_audio = TagError(path, _why_not_audio(stat), reason=Reason.NOT_AUDIO)
                raise reader.failure or not_audio
            reader.seek(0)
            return _parse(reader, path, stat, container)
    except OSError as error:
        raise TagError(path, error.strerror or str(error)) from error


def _bare_track(path: Path, stat: os.stat_result, container: str) -> Track:
    return Track(
        path=path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        container=container,
        has_art=False,
    )


@contextmanager
def _parse_errors(path: Path, reader: _BoundedReader) -> Iterator[None]:
    """Raise TagError for a damaged file, and pass on the reader's OSError."""
    try:
        with tag_errors(path):
            yield
    except TagError as error:
        raise (reader.failure or error) from None


def _parse(reader: _BoundedReader, path: Path, stat: os.stat_result, container: str) -> Track:
    row = CONTAINERS[container]
    if row.tags.check_cost:
        with _BoundedReader(path) as ahead, _parse_errors(path, ahead):
            row.tags.check_cost(ahead)
    with _parse_errors(path, reader):
        file = row.open(reader)
        pictures = [p.data for p in row.tags.pictures(file) if p.kind not in ICONS]
        elsewhere, further = [], []
        if row.tags.place:
            further = id3.further_tags(reader, row.tags.place, file)
            found = id3.further_pictures(reader, row.tags.place, further)
            elsewhere = [p.data for p in found if p.kind not in ICONS]
        texts = _texts(row.tags.keys, file.tags)
        if not all(texts[field] for field in _LOOKED_FOR):
            with suppress(*DAMAGE):
                further.append(as_id3(row.tags.texts(reader)))
            texts = _fill_empty(texts, further)
        seconds = float(file.info.length)
        is_video = getattr(file, "is_video", False)
    fault = _fault(reader, container)
    images = list(filter(is_image, pictures))
    others = list(filter(is_image, elsewhere))
    return Track(
        path=path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        container=container,
        has_art=bool(images or others),
        own_art=bool(images) and not others and all(map(is_own, images)),
        broken_art=len(images) + len(others) < len(pictures) + len(elsewhere),
        duration_seconds=seconds if 0 <= seconds <= _MAX_SECONDS else 0.0,
        disc_number=_number(texts.pop("disc_number")),
        track_number=_number(texts.pop("track_number")),
        compilation=texts.pop("compilation").lower() in ("1", "true", "yes"),
        **texts,
        is_video=is_video,
        fault=fault,
    )


def _fault(reader: _BoundedReader, container: str) -> str:
    """Return why the file's structure prevents writing a cover, or ""."""
    try:
        return fault_in(reader, container)
    except OSError:
        if reader.failure:
            raise
        return ""  # past the reading limit


def _texts(
    format_keys: keys.Keys,
    tags: Any,  # noqa: ANN401 - mutagen is untyped
) -> dict[str, str]:
    """Return each field's first non-empty value."""
    if tags is None:
        return dict.fromkeys(format_keys.names, "")
    lookup = format_keys.lookup(tags)
    return {field: _first(lookup, names) for field, names in format_keys.names.items()}


def _fill_empty(texts: dict[str, str], further: Iterable[mutagen.id3.ID3]) -> dict[str, str]:
    """Fill empty texts from further tags."""
    for tags in further:
        found = _texts(keys.ID3, tags)
        texts = {field: text or found[field] for field, text in texts.items()}
    return texts


def _first(lookup: Callable[[str], Any], names: tuple[str, ...]) -> str:
    for key in names:
        try:
            values = lookup(key)
        except KeyError:
            continue
        for value in values if isinstance(values, list) else [values]:
            if text := _text(value):
                return text
    return ""


def _text(value: object) -> str:
    if isinstance(value, tuple):  # (number, total) in MP4
        value = value[0]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = text[:_MAX_TEXT_LENGTH].strip("\0 \t\r\n")
    # A lone surrogate from damaged UTF-16 can be neither stored nor printed.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _number(text: str) -> int:
    digits = re.match("[0-9]{1,6}", text)
    return int(digits[0]) if digits else 0


def _why_not_audio(stat: os.stat_result) -> str:
    return "not a known audio format" if stat.st_size else "the file is empty"
