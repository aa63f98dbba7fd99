"""Tracks and albums, what a run does with them, and the result: frozen and picklable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.core.errors import ItemError
    from covergen.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One audio file, as it was when it was scanned.

    `container` names a row of the table in `library/containers.py`, or is the extension of a kind
    that cannot hold a cover. Missing tags are "" or 0; `date` is as tagged ("1997", "1997-05-21").
    `has_art`: the file contains a picture other than an icon. `own_art`: covergen painted it, and
    there is no other. `broken_art`: the tags contain a picture that is not an image. `is_video`:
    the file has a video track. `fault`: why no cover can be written to it, as far as its structure
    shows.
    """

    path: Path
    size: int
    mtime_ns: int
    container: str
    has_art: bool
    own_art: bool = False
    broken_art: bool = False
    duration_seconds: float = 0.0
    title: str = ""
    artist: str = ""
    album: str = ""
    album_artist: str = ""
    date: str = ""
    disc_number: int = 0
    track_number: int = 0
    compilation: bool = False
    musicbrainz_album_id: str = ""
    is_video: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """The tracks that share one cover, in playing order.

    `key` does not change when the library is moved: it is built from the tags or, without tags,
    from the names of the folder and its files. `cover_file` is a picture next to the tracks that
    belongs to this album alone, under a name that covers have; `broken_file` has such a name and is
    not an image. `shares_folder`: the folder also contains tracks of other albums.
    """

    key: str
    folder: Path
    title: str
    artist: str
    date: str
    tracks: tuple[Track, ...]
    cover_file: Path | None = None
    broken_file: Path | None = None
    shares_folder: bool = False


class Action(StrEnum):
    """What a run does with an album."""

    PAINT = "paint"
    WRITE = "write"
    EMBED = "embed"
    FILL = "fill"
    COLLECT = "collect"
    STRIP = "strip"
    UNDO = "undo"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumPlan:
    """What a run will do with an album, and why.

    `targets` are the tracks that it will write; `hindered` are those that it would write if nothing
    prevented it, as far as that was checked. `cover_files` are the files next to the tracks that it
    will restore or remove.
    """

    album: Album
    action: Action
    reason: Reason
    targets: tuple[Track, ...] = ()
    hindered: tuple[Outcome, ...] = ()
    cover_files: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The tracks and cover files that it will write, restore or remove."""
        return (*(track.path for track in self.targets), *self.cover_files)

    @classmethod
    def skip(cls, album: Album, reason: Reason) -> AlbumPlan:
        """Return the plan of an album that is left alone."""
        return cls(album=album, action=Action.SKIP, reason=reason)


class Status(StrEnum):
    """The result of a run for one file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result for one file, and why. `message` adds details to the reason."""

    path: Path
    status: Status
    reason: Reason
    message: str = ""

    @classmethod
    def written(cls, path: Path, reason: Reason, message: str = "") -> Outcome:
        """Return the outcome of a file that was written."""
        return cls(path=path, status=Status.WRITTEN, reason=reason, message=message)

    @classmethod
    def skipped(cls, path: Path, reason: Reason, message: str = "") -> Outcome:
        """Return the outcome of a file that is left alone."""
        return cls(path=path, status=Status.SKIPPED, reason=reason, message=message)

    @classmethod
    def failed(cls, path: Path, reason: Reason, message: str = "") -> Outcome:
        """Return the outcome of a file that could not be read or written."""
        return cls(path=path, status=Status.FAILED, reason=reason, message=message)

    @classmethod
    def of_error(cls, error: ItemError) -> Outcome:
        """Return the outcome of a file that failed with `error`."""
        text = f"{error.message}; {error.hint}" if error.hint else error.message
        return cls.failed(error.path, error.reason, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackEmbedding:
    """A track and its embedding: (D,) float32, unit L2 norm."""

    track: Track
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumEmbedding:
    """An album and its embedding: (D,) float32, unit L2 norm.

    `undecoded` are the outcomes of tracks that could not be decoded and are not in the mean.
    """

    plan: AlbumPlan
    vector: NDArray[np.float32]
    undecoded: tuple[Outcome, ...] = ()
