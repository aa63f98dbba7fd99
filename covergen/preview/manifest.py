"""plan.jsonl: the manifest of a preview, with the plan and the painted covers of each album.

The first line is a header, every other line is an album. A later line replaces an earlier one of
the same album, so that a kill loses at most the line being written. The file may come from an
untrusted source: no location on disk is derived from it alone.
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
from covergen.core.files import replacing, write_whole
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
_DAMAGE = (KeyError, RecursionError, TypeError, ValueError)  # raised by parsing a damaged line
_MOST_LINE_BYTES = 1 << 26  # enough for an album of 100,000 tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHeader:
    """The first line of a manifest.

    `roots` are the names of the library's folders, for display; albums refer to them by index.
    `settings` are those with which all covers were painted.
    """

    preview: str
    roots: tuple[str, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrack:
    """A track as it was scanned. `path` is relative to its root, with forward slashes.

    `target`: the cover will be written to it.
    """

    path: str
    size: int
    mtime_ns: int
    has_art: bool
    target: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A painted cover. `number` is the index of its seed, from 0; `cover` is a file name."""

    number: int
    seed: int
    cover: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAlbum:
    """An album's entry: its action, its reason, and the covers painted so far.

    `id` identifies it in this preview. `folder` is relative to the root ("" for the root itself).
    So is `cover_file`, the picture beside the tracks, or "". `excerpt` is a file name, or "".
    `tries` counts how often the album was painted; the candidates of the last try are numbered
    from `first`, and `retry` is the name of the choices that requested it.
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
    """A manifest on disk; only the offsets of its albums are kept in memory.

    `damaged` are the numbers, from 1, of lines that cannot be read and are skipped. `seeds` maps
    album ids to the seeds of their candidates.
    """

    header: PlanHeader
    damaged: list[int]
    seeds: dict[str, tuple[int, ...]]

    def __init__(self, folder: Path) -> None:
        """Open the manifest of a preview. Raises UsageError if it is missing or unreadable."""
        self.path = folder / PLAN_NAME
        self._open()

    @classmethod
    def create(cls, folder: Path, header: PlanHeader) -> Self:
        """Create a manifest without albums. Raises WriteError."""
        with write_errors(folder / PLAN_NAME):
            write_whole(folder / PLAN_NAME, _header_line(header))
        return cls(folder)

    def __iter__(self) -> Iterator[PlannedAlbum]:
        """Yield every album's current entry, in the order of their first lines."""
        for offset in self._offsets.values():
            yield self._read(offset)

    def find(self, album: str) -> PlannedAlbum | None:
        """Return the current entry of the album with that id, None if there is none."""
        offset = self._offsets.get(album)
        return None if offset is None else self._read(offset)

    def put(self, album: PlannedAlbum) -> None:
        """Append an album's entry, which replaces an earlier one. Raises WriteError."""
        with write_errors(self.path), self.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            newline = b"" if file.read(1) == b"\n" else b"\n"  # a kill truncated the last line
            offset = file.tell() + len(newline)
            file.write(newline + _album_line(album))
        self._offsets[album.id] = offset
        self.seeds[album.id] = tuple(candidate.seed for candidate in album.candidates)

    def compact(self, keep: Collection[str]) -> None:
        """Keep only the albums with these ids, one line each. Raises WriteError."""
        with write_errors(self.path), replacing(self.path) as new:
            with new.open("wb") as file:
                file.write(_header_line(self.header))
                offsets = [offset for album, offset in self._offsets.items() if album in keep]
                file.writelines(self._line_at(offset).rstrip() + b"\n" for offset in offsets)
            self.close()
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise UsageError(
                f"{self.path.parent} does not contain a readable preview: {PLAN_NAME}:"
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
        self._offsets: dict[str, int] = {}
        self.seeds, self.damaged = {}, []
        offset = self._file.tell()
        for number in count(2):
            line = self._file.readline(_MOST_LINE_BYTES)
            if not line:
                break
            try:
                album = _album(line)
                if not 0 <= album.root < len(self.header.roots):
                    raise ValueError("it is in no folder of the library")
            except _DAMAGE:
                self.damaged.append(number)
            else:
                self._offsets[album.id] = offset
                self.seeds[album.id] = tuple(candidate.seed for candidate in album.candidates)
            offset += len(line)

    def _line_at(self, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.readline(_MOST_LINE_BYTES)

    def _read(self, offset: int) -> PlannedAlbum:
        try:
            return _album(self._line_at(offset))
        except _DAMAGE as error:
            raise CovergenError(f"{self.path} changed while it was being read.") from error


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
            raise ValueError("not a preview manifest")
        if value["format"] != _FORMAT:
            raise UsageError(
                f"{path} was made by covergen {value['version']}, in a format that this version"
                " cannot read.",
                hint=_HOW_TO_MAKE,
            )
        settings = _get(value, "settings", dict)
        header = PlanHeader(
            preview=_get(value, "preview", str),
            roots=tuple(str(name) for name in _get(value, "roots", list)),
            settings={name: str(text) for name, text in settings.items()},
        )
        if not is_preview_id(header.preview):
            raise ValueError("invalid preview id")
    except _DAMAGE as error:
        raise UsageError(
            f"{path} is not a covergen plan, or its first line is damaged.", hint=_HOW_TO_MAKE
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
    """Return a relative path that cannot leave its folder. Raises what `_DAMAGE` lists."""
    path = _get(value, name, str)
    if not is_inner_name(path):
        raise ValueError(f"{name} points outside its folder")
    return path


def _file_name(value: object, name: str) -> str:
    """Return the name of a file in a preview. Raises what `_DAMAGE` lists."""
    file = _get(value, name, str)
    if not _FILE_NAME.fullmatch(file):
        raise ValueError(f"{name} is not a file of a preview")
    return file


def _json(line: bytes) -> dict[str, object]:
    """Parse a JSON object. Raises what `_DAMAGE` lists."""
    value = json.loads(line, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value


def _refuse(text: str) -> Never:
    raise ValueError(f"{text} is not a number")


def _get(value: object, name: str, kind: type[Value]) -> Value:
    """Return the value of a key, exactly of type `kind`. Raises what `_DAMAGE` lists."""
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    found = value[name]
    if type(found) is not kind:  # not isinstance: True is an int
        raise TypeError(f"{name} is not of type {kind.__name__}")
    return found
