"""Frozen, validated options of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covergen.core.cover_encoding import Encoding
from covergen.library.scanning.known_names import COVER_NAMES
from covergen.library.scanning.scan import ScanOptions
from covergen.library.writing.rewrite import RewriteOptions

if TYPE_CHECKING:
    from covergen.models.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Where a cover is written: into the tracks (`embed`), beside them (`sidecar`), or both.

    `journal`: record what is written, so that it can be undone. `sidecar_encoding` is that of the
    cover file, None for the same as in the tracks.
    """

    embed: bool = True
    sidecar: bool = False
    journal: bool = True
    encoding: Encoding = field(default_factory=Encoding)
    sidecar_encoding: Encoding | None = None
    rewrite: RewriteOptions = field(default_factory=RewriteOptions)

    @property
    def encodings(self) -> tuple[Encoding, Encoding]:
        """The encodings in the tracks and of the cover file."""
        return self.encoding, self.sidecar_encoding or self.encoding

    @property
    def can_copy_beside(self) -> bool:
        """Whether the picture in the tracks can be copied to a missing cover file."""
        embedded, beside = self.encodings
        return self.sidecar and embedded == beside

    @property
    def largest_size(self) -> int | None:
        """The side in pixels of the largest picture that is written, None for the painted size."""
        return max((one.size for one in self.encodings if one.size), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Which albums to work on. `limit` is the maximum number of albums, None for all."""

    paths: tuple[Path, ...]
    scan: ScanOptions = field(default_factory=ScanOptions)
    force: bool = False
    fill: bool = False
    limit: int | None = None
    write: WriteOptions = field(default_factory=WriteOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """A Ray cluster to embed and paint on.

    `address`: HOST:PORT of its head, "auto" for the cluster that this machine is part of, or "" to
    start Ray on this machine alone. `path_map`: folders here, and where workers find them.
    `verbose`: show Ray's own messages.
    """

    address: str = ""
    path_map: tuple[tuple[Path, Path], ...] = ()
    verbose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintOptions:
    """The model, and how it paints covers.

    `device` and `dtype` are values that `choose_compute` accepts. `workers` is the number of
    decoder processes, and of threads that finish pictures; None for what `worker_count` chooses.
    `batch_size` is in covers, None to choose it by free memory. `size` is the side in pixels of
    what is painted, None for the model's own. `ray`: where to embed and paint, None for in this
    process; it changes no picture.
    """

    preset: Preset
    device: str
    dtype: str
    workers: int | None
    batch_size: int | None = None
    size: int | None = None
    ray: RayOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """The options of `tag`."""

    plan: PlanOptions
    paint: PaintOptions
    seed: int = 0

    @property
    def identity(self) -> dict[str, object]:
        """What identifies a command, so that it can be resumed on any device."""
        paint = self.paint
        plan = replace(self.plan, paths=())
        return {"plan": plan, "preset": paint.preset, "size": paint.size, "seed": self.seed}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """The options of a preview: those of `tag`, and the folder to paint into.

    `candidates` is the number of covers per album; `audio` adds an excerpt of the music. `retry`
    is a choices.json: only the albums that it marks are painted again. `command` holds the options
    that a retry needs, as JSON values.
    """

    tag: TagOptions
    folder: Path
    candidates: int = 1
    audio: bool = True
    retry: Path | None = None
    command: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """The options of `apply`: a preview's folder, its choices.json, and how covers are written.

    `libraries` are the library's folders if they have moved since the preview; empty otherwise.
    `follow_symlinks`: links in them may point outside. `cover_names`: glob patterns of cover files.
    """

    folder: Path
    choices: Path | None = None
    libraries: tuple[Path, ...] = ()
    follow_symlinks: bool = False
    cover_names: tuple[str, ...] = COVER_NAMES
    write: WriteOptions = field(default_factory=WriteOptions)
