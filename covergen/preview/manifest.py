"""plan.jsonl: what a preview would do with each album of a library, and what it painted.

The first line says whose plan it is, every other is an album. A later line replaces an earlier one
of the same album, so that a kill costs no more than the line that was being written. Whatever is
read here may have been written by anybody: no place on the disk follows from it alone.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Never, Self, TypeVar

import covergen
from covergen.core.errors import CovergenError, UsageError
from covergen.core.files import write_whole
from covergen.core.os_errors import write_errors
from covergen.core.reasons import Reason
from covergen.core.safe_path import is_inner_name
from covergen.core.types import Action
from covergen.preview.origins import is_preview_id

__all__ = ["PLAN_NAME", "Candidate", "PlanFile", "PlanHeader", "PlannedAlbum", "PlannedTrack"]

Value = TypeVar("Value")

PLAN_NAME = "plan.jsonl"
_KIND = "covergen preview"
_FORMAT = 2
_REASONS = {reason.value: reason for reason in Reason}
_FILE_NAME = re.compile("[a-z0-9-]+[.](png|mp3)")
_HOW_TO_MAKE = "Make one with: covergen tag --dry-run --preview DIR PATH"
_DAMAGE = (KeyError, RecursionError, TypeError, ValueError)  # what a line that is none may raise
_MOST_LINE_BYTES = 1 << 26  # an album of a hundred thousand tracks has room in it


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHeader:
    """Whose plan it is.

    `roots` are the names of the library's folders, for people to read; tracks count them from 0.
    `settings` are those that painted all covers.
    """

    preview: str
    roots: tuple[str, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrack:
    """A track as it was scanned: `path` is relative to its root, with forward slashes.

    `target`: it would be written.
    """

    path: str
    size: int
    mtime_ns: int
    has_art: bool
    target: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A painted cover. `number` counts the seeds of the album from 0; `cover` is a file's name."""

    number: int
    seed: int
    cover: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAlbum:
    """An album with its action, its reason, and what was painted for it so far.

    `id` names it in this preview. `folder` is relative to the root, and "" is the root itself, as
    is `cover_file`, the picture beside the tracks, "" for none.
    `excerpt` is a file's name, or "". `tries` counts how often it was painted; the candidates of
    the last try are numbered from `first`, and `retry` names the choices that asked for it.
    """

    id: str
    key: str
    artist: str
    title: str
    date: str
    root: int
    folder: str
    shares_folder: bool
    cover_file: str
    seconds: float
    tracks: tuple[PlannedTrack, ...]
    action: Action
    reason: Reason
    candidates: tuple[Candidate, ...] = ()
    excerpt: str = ""
    tries: int = 1
    first: int = 0
    retry: str = ""


class PlanFile:
    """A plan on disk, of which no more than the places of its albums is kept in memory.

    `damaged` are the numbers of lines, from 1, that cannot be read; they are passed over.
    `seeds` are those of each album's candidates, by its id.
    """

    header: PlanHeader
    damaged: list[int]
    seeds: dict[str, tuple[int, ...]]

    def __init__(self, folder: Path) -> None:
        """Open the plan of a preview. Raises UsageError where there is none that can be read."""
        self.path = folder / PLAN_NAME
        self._open()

    @classmethod
    def create(cls, folder: Path, header: PlanHeader) -> Self:
        """Begin a plan without albums. Raises WriteError."""
        with write_errors(folder / PLAN_NAME):
            write_whole(folder / PLAN_NAME, _header_line(header))
        return cls(folder)

    def __iter__(self) -> Iterator[PlannedAlbum]:
        """Every album as it stands now, in the order of their first lines."""
        for place in self._places.values():
            yield self._read(place)

    def find(self, album: str) -> PlannedAlbum | None:
        """The album of that id as it stands now."""
        place = self._places.get(album)
        return None if place is None else self._read(place)

    def put(self, album: PlannedAlbum) -> None:
        """Write an album down, in the place of what was known of it. Raises WriteError."""
        with write_errors(self.path), self.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            end = b"" if file.read(1) == b"\n" else b"\n"  # a kill has cut the last line
            place = file.tell() + len(end)
            file.write(end + _album_line(album))
        self._places[album.id] = place
        self.seeds[album.id] = tuple(candidate.seed for candidate in album.candidates)

    def compact(self, keep: Collection[str]) -> None:
        """Leave only the albums of these ids, each on one line. Raises WriteError."""
        temporary = self.path.with_suffix(".new")
        with write_errors(self.path):
            with temporary.open("wb") as file:
                file.write(_header_line(self.header))
                places = [place for album, place in self._places.items() if album in keep]
                file.writelines(self._line_at(place).rstrip() + b"\n" for place in places)
                file.flush()
                os.fsync(file.fileno())
            self.close()
            temporary.replace(self.path)
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise UsageError(
                f"{self.path.parent} holds no preview that can be read: {PLAN_NAME}:"
                f" {error.strerror}.",
                hint=_HOW_TO_MAKE,
            ) from error
        try:
            self.header = _header(self.path, self._file.readline(_MOST_LINE_BYTES))
            self._index()
        except BaseException:
            self._file.close()
            raise

    def _index(self) -> None:
        self._places: dict[str, int] = {}
        self.seeds, self.damaged = {}, []
        place = self._file.tell()
        for number in count(2):
            line = self._file.readline(_MOST_LINE_BYTES)
            if not line:
                break
            try:
                album = _album(line)
                if not 0 <= album.root < len(self.header.roots):
                    raise ValueError("it lies in no folder of the library")
            except _DAMAGE:
                self.damaged.append(number)
            else:
                self._places[album.id] = place
                self.seeds[album.id] = tuple(candidate.seed for candidate in album.candidates)
            place += len(line)

    def _line_at(self, place: int) -> bytes:
        self._file.seek(place)
        return self._file.readline(_MOST_LINE_BYTES)

    def _read(self, place: int) -> PlannedAlbum:
        try:
            return _album(self._line_at(place))
        except _DAMAGE as error:
            raise CovergenError(f"{self.path} was changed while it was read.") from error


def _header_line(header: PlanHeader) -> bytes:
    return _line({"type": _KIND, "format": _FORMAT, "version": covergen.__version__}, header)


def _album_line(album: PlannedAlbum) -> bytes:
    return _line({"type": "album"}, album)


def _line(first: dict[str, object], value: PlanHeader | PlannedAlbum) -> bytes:
    return json.dumps({**first, **asdict(value)}).encode() + b"\n"


def _header(path: Path, line: bytes) -> PlanHeader:
    try:
        value = _json(line)
        if _get(value, "type", str) != _KIND:
            raise ValueError("it is of another kind")
        if value["format"] != _FORMAT:
            raise UsageError(
                f"{path} was made by another version of covergen, {value['version']}, in a format"
                " that this one does not read.",
                hint=_HOW_TO_MAKE,
            )
        settings = _get(value, "settings", dict)
        header = PlanHeader(
            preview=_get(value, "preview", str),
            roots=tuple(str(name) for name in _get(value, "roots", list)),
            settings={name: str(text) for name, text in settings.items()},
        )
        if not is_preview_id(header.preview):
            raise ValueError("its id is none of covergen's")
    except _DAMAGE as error:
        raise UsageError(
            f"{path} is no plan of covergen's, or its first line is damaged.", hint=_HOW_TO_MAKE
        ) from error
    return header


def _album(line: bytes) -> PlannedAlbum:
    value = _json(line)
    return PlannedAlbum(
        id=_get(value, "id", str),
        key=_get(value, "key", str),
        artist=_get(value, "artist", str),
        title=_get(value, "title", str),
        date=_get(value, "date", str),
        root=_get(value, "root", int),
        folder=_name(value, "folder") if value["folder"] != "" else "",
        shares_folder=_get(value, "shares_folder", bool),
        cover_file=_name(value, "cover_file") if value["cover_file"] != "" else "",
        seconds=_get(value, "seconds", float),
        tracks=tuple(map(_track, _get(value, "tracks", list))),
        action=Action(_get(value, "action", str)),
        reason=_REASONS[_get(value, "reason", str)],
        candidates=tuple(map(_candidate, _get(value, "candidates", list))),
        excerpt=_file_name(value, "excerpt") if value["excerpt"] != "" else "",
        tries=_get(value, "tries", int),
        first=_get(value, "first", int),
        retry=_get(value, "retry", str),
    )


def _track(value: object) -> PlannedTrack:
    return PlannedTrack(
        path=_name(value, "path"),
        size=_get(value, "size", int),
        mtime_ns=_get(value, "mtime_ns", int),
        has_art=_get(value, "has_art", bool),
        target=_get(value, "target", bool),
    )


def _candidate(value: object) -> Candidate:
    return Candidate(
        number=_get(value, "number", int),
        seed=_get(value, "seed", int),
        cover=_file_name(value, "cover"),
    )


def _name(value: object, name: str) -> str:
    """A name that cannot lead out of the folder that it is meant for."""
    found = _get(value, name, str)
    if not is_inner_name(found):
        raise ValueError(f"{name} leads elsewhere")
    return found


def _file_name(value: object, name: str) -> str:
    """A name that covergen gives to files in a preview."""
    found = _get(value, name, str)
    if not _FILE_NAME.fullmatch(found):
        raise ValueError(f"{name} is no file of a preview")
    return found


def _json(line: bytes) -> dict[str, object]:
    """An object of JSON. Raises what `_DAMAGE` names."""
    value = json.loads(line, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise TypeError("it is no object")
    return value


def _refuse(text: str) -> Never:
    raise ValueError(f"{text} is no number")


def _get(value: object, name: str, kind: type[Value]) -> Value:
    """What an object of JSON holds by that name. Raises what `_DAMAGE` names."""
    if not isinstance(value, dict):
        raise TypeError("it is no object")
    found = value[name]
    if type(found) is not kind:  # True is an int, and 1 is not meant by it
        raise TypeError(f"{name} is no {kind.__name__}")
    return found
