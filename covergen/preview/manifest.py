"""plan.jsonl: the manifest of a preview, with the plan and the painted covers of each album.

The first line is a header, every other line is an album. A later line replaces an earlier one of
the same album, so that a kill loses at most the line being written. The file may come from an
untrusted source: no location on disk is derived from it alone.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

import covergen
from covergen.core.album import Action
from covergen.core.atomic_write import replacing, write_whole
from covergen.core.errors import UsageError
from covergen.core.os_errors import write_errors
from covergen.core.reasons import Reason
from covergen.core.safe_path import is_inner_name
from covergen.preview.origins import is_preview_id

Record = TypeVar("Record", "ManifestHeader", "TrackEntry", "Candidate", "AlbumEntry")

MANIFEST_NAME = "plan.jsonl"
_KIND = "covergen preview"
_FORMAT = 2
_REASONS = {reason.value: reason for reason in Reason}
_FILE_NAME = re.compile("[a-z0-9-]+[.](png|mp3)")
_HOW_TO_MAKE = "Make one with: covergen preview PATH -o DIR"
_DAMAGE = (KeyError, RecursionError, TypeError, ValueError)  # raised by parsing a damaged line


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestHeader:
    """The first line of a manifest.

    `roots` are the names of the library's folders, for display; albums refer to them by index.
    `settings` are those with which all covers were painted.
    """

    preview: str
    roots: tuple[str, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackEntry:
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
class AlbumEntry:
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
    tracks: tuple[TrackEntry, ...]
    action: Action
    reason: Reason
    candidates: tuple[Candidate, ...] = ()
    excerpt: str = ""
    tries: int = 1
    first: int = 0
    retry: str = ""


class Manifest:
    """A manifest on disk; only the offsets of its albums are kept in memory.

    `damaged` are the numbers, from 1, of lines that cannot be read and are skipped. `seeds` maps
    album ids to the seeds of their candidates.
    """

    header: ManifestHeader
    damaged: list[int]
    seeds: dict[str, tuple[int, ...]]

    def __init__(self, folder: Path) -> None:
        """Open the manifest of a preview. Raises UsageError if it is missing or unreadable."""
        self.path = folder / MANIFEST_NAME
        self._open()

    @classmethod
    def create(cls, folder: Path, header: ManifestHeader) -> Self:
        """Create a manifest without albums. Raises WriteError."""
        with write_errors(folder / MANIFEST_NAME):
            write_whole(folder / MANIFEST_NAME, _header_line(header))
        return cls(folder)

    def __iter__(self) -> Iterator[AlbumEntry]:
        """Yield every album's current entry, in the order of their first lines."""
        for offset in self._offsets.values():
            yield _entry(self._line_at(offset))

    def find(self, album: str) -> AlbumEntry | None:
        """Return the current entry of the album with that id, None if there is none."""
        offset = self._offsets.get(album)
        return None if offset is None else _entry(self._line_at(offset))

    def put(self, entry: AlbumEntry) -> None:
        """Append an album's entry, which replaces an earlier one. Raises WriteError."""
        with write_errors(self.path), self.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            newline = b"" if file.read(1) == b"\n" else b"\n"  # a kill truncated the last line
            offset = file.tell() + len(newline)
            file.write(newline + _line({"type": "album"}, entry))
        self._note(entry, offset)

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
                f"{self.path.parent} does not contain a readable preview: {MANIFEST_NAME}:"
                f" {error.strerror}.",
                hint=_HOW_TO_MAKE,
            ) from error
        try:
            self.header = _header(self.path, self._file.readline())
            self._index()
        except BaseException:
            self._file.close()
            raise

    def _index(self) -> None:
        self._offsets: dict[str, int] = {}
        self.seeds, self.damaged = {}, []
        offset = self._file.tell()
        for number, line in enumerate(self._file, 2):
            try:
                entry = _entry(line)
                if not 0 <= entry.root < len(self.header.roots):
                    raise ValueError("it is in no folder of the library")
            except _DAMAGE:
                self.damaged.append(number)
            else:
                self._note(entry, offset)
            offset += len(line)

    def _note(self, entry: AlbumEntry, offset: int) -> None:
        self._offsets[entry.id] = offset
        self.seeds[entry.id] = tuple(candidate.seed for candidate in entry.candidates)

    def _line_at(self, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.readline()


def is_preview(folder: Path) -> bool:
    """Whether a folder contains a preview that this version can read."""
    try:
        Manifest(folder).close()
    except UsageError:
        return False
    return True


def _header_line(header: ManifestHeader) -> bytes:
    return _line({"type": _KIND, "format": _FORMAT, "version": covergen.__version__}, header)


def _line(first: dict[str, object], record: ManifestHeader | AlbumEntry) -> bytes:
    return json.dumps({**first, **asdict(record)}).encode() + b"\n"


def _header(path: Path, line: bytes) -> ManifestHeader:
    try:
        value = json.loads(line)
        if value["type"] != _KIND:
            raise ValueError("not a preview manifest")
        if value["format"] != _FORMAT:
            raise UsageError(
                f"{path} was made by covergen {value['version']}, in a format that this version"
                " cannot read.",
                hint=_HOW_TO_MAKE,
            )
        header = _record(
            ManifestHeader,
            value,
            roots=tuple(map(str, value["roots"])),
            settings=dict(value["settings"]),
        )
        if not is_preview_id(header.preview):
            raise ValueError("invalid preview id")
    except _DAMAGE as error:
        raise UsageError(
            f"{path} is not a covergen plan, or its first line is damaged.", hint=_HOW_TO_MAKE
        ) from error
    return header


def _entry(line: bytes) -> AlbumEntry:
    """Parse an album's line. Raises what `_DAMAGE` lists.

    Names in it cannot lead out of the library or the preview.
    """
    value = json.loads(line)
    entry = _record(
        AlbumEntry,
        value,
        tracks=tuple(_record(TrackEntry, track) for track in value["tracks"]),
        action=Action(value["action"]),
        reason=_REASONS[value["reason"]],
        candidates=tuple(_record(Candidate, one) for one in value["candidates"]),
    )
    paths = [track.path for track in entry.tracks]
    if not all(map(is_inner_name, (*paths, *filter(None, (entry.folder, entry.cover_file))))):
        raise ValueError("a path leads out of the library")
    files = [candidate.cover for candidate in entry.candidates]
    if not all(map(_FILE_NAME.fullmatch, (*files, *filter(None, [entry.excerpt])))):
        raise ValueError("a file is not one of a preview")
    return entry


def _record(kind: type[Record], value: dict[str, Any], **parsed: object) -> Record:
    """Return a record of this kind. Raises KeyError or TypeError for a missing or invalid value."""
    values: dict[str, Any] = dict(parsed)
    for field in fields(kind):
        if field.name in parsed or (field.name not in value and field.default is not MISSING):
            continue
        values[field.name] = value[field.name]
        if type(value[field.name]) is not field.type:  # not isinstance: True is an int
            raise TypeError(f"{field.name} is not of type {field.type}")
    return kind(**values)
