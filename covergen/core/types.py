"""The values that flow from stage to stage: frozen, picklable, and known to every room."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from covergen.core.errors import ItemError
    from covergen.core.reasons import Reason

__all__ = [
    "FINISHES",
    "PADDINGS",
    "QUALITIES",
    "SCHEDULERS",
    "Action",
    "Album",
    "AlbumEmbedding",
    "AlbumPlan",
    "Cover",
    "Outcome",
    "PaintRequest",
    "Provenance",
    "Sampling",
    "Status",
    "Track",
    "TrackEmbedding",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One audio file, as it was when it was scanned.

    `container` is the name of a row of the table in `library/containers.py`, or the extension of a
    kind that cannot hold a cover. Texts are "" and numbers 0 where the tags are silent; `date` is
    as tagged ("1997", "1997-05-21"). `has_art`: it holds a picture, icons aside; `own_art`: one
    that covergen painted, and no other; `broken_art`: something in the place of a picture that is
    not an image. `is_video`: it has a video track. `fault`: why no cover can be written into
    it, as far as its structure tells.
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

    `key` is stable under moving the library: it is made of tags, or, without tags, of the names
    of the folder and its files. `cover_file` is a picture beside the tracks, under a name that
    covers have, and of this album alone; `broken_file` has such a name and is no picture.
    `shares_folder`: tracks of other albums lie in the same folder, or may.
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
    """What a plan does with an album."""

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
    """What a run would do with an album, and why.

    `targets` are the tracks that would be written, `hindered` those that would be if nothing stood
    in the way, as far as that was looked into.
    """

    album: Album
    action: Action
    reason: Reason
    targets: tuple[Track, ...] = ()
    hindered: tuple[Outcome, ...] = ()


class Status(StrEnum):
    """How a file came out of a run."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file, and why.

    `message` adds what the reason's own sentence cannot know.
    """

    path: Path
    status: Status
    reason: Reason
    message: str = ""

    @classmethod
    def of_error(cls, error: ItemError) -> Outcome:
        """The outcome of a file that `error` stopped."""
        text = f"{error.message}; {error.hint}" if error.hint else error.message
        return cls(path=error.path, status=Status.FAILED, reason=error.reason, message=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackEmbedding:
    """A track and its embedding: (D,) float32, unit L2 norm."""

    track: Track
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumEmbedding:
    """An album and its embedding: (D,) float32, unit L2 norm.

    `unheard` are the outcomes of tracks that could not be decoded; they are not in the mean.
    """

    plan: AlbumPlan
    vector: NDArray[np.float32]
    unheard: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintRequest:
    """One picture to paint. `vector`: (d_audio,) float32; `seed`: 0 to 2**64 - 1.

    `style`: words that guide the picture along with the music, "" for none.
    """

    vector: NDArray[np.float32]
    seed: int
    style: str = ""


FINISHES = ("none", "print", "paper")
PADDINGS = ("repeat", "silence")
QUALITIES = ("draft", "standard", "best", "reference")
SCHEDULERS = ("ddim", "ddpm", "dpm++", "pndm", "unipc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a cover is sampled and finished.

    `scheduler` is one of SCHEDULERS. Guidance acts from one share of the steps until another. Every
    `reuse`-th step computes the whole UNet, those between take over what is deep in it. `finish` is
    one of FINISHES; "print" uses up to `inks` flat colors, "paper" adds the grain of paper.
    """

    steps: int
    guidance: float
    scheduler: str
    guided_from: float = 0.0
    guided_until: float = 1.0
    reuse: int = 1
    finish: str = "none"
    inks: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What painted a cover: enough to paint it again.

    `base` and `clap` are folders or names on the Hub, `adapter` is the SHA-256 of the adapter's
    file in hexadecimal. `seed` is as the sampler got it; `windows` were heard of each track;
    `padding` is one of PADDINGS, or "" for the CLAP's own; `style` is the words next to the music.
    The rest is as in Sampling.
    """

    version: str
    model: str
    base: str
    clap: str
    adapter: str
    windows: int
    seed: int
    steps: int
    guidance: float
    scheduler: str
    album_key: str
    guided_from: float = 0.0
    guided_until: float = 1.0
    reuse: int = 1
    finish: str = "none"
    inks: int = 6
    style: str = ""
    padding: str = ""

    def as_texts(self) -> dict[str, str]:
        """Each field as text, named `covergen:FIELD`."""
        return {f"covergen:{name}": str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """What `as_texts` made texts of; earlier versions knew no field that has a default.

        Raises ValueError where a field is missing or wrong.
        """
        kinds = {"str": str, "int": int, "float": float}
        values = {}
        for field in fields(cls):
            name = f"covergen:{field.name}"
            if name in texts:
                values[field.name] = kinds[str(field.type)](texts[name])
            elif field.default is MISSING:
                raise ValueError(f"its provenance lacks {name!r}")
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A painted picture with its provenance. `pixels`: (H, W, 3) uint8, sRGB."""

    pixels: NDArray[np.uint8]
    provenance: Provenance
