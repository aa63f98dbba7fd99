"""What decides how a run goes: the words of the command line, checked and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from covergen.core.picture import Encoding
from covergen.library.scanning.folder_names import COVER_NAMES
from covergen.library.scanning.scan import ScanOptions
from covergen.library.writing.rewrite import RewriteOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from covergen.models.presets import Preset

__all__ = [
    "ApplyOptions",
    "PaintOptions",
    "PlanOptions",
    "PreviewOptions",
    "TagOptions",
    "WriteOptions",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Where a cover goes: into the tracks (`embed`), beside them (`sidecar`), or both.

    `journal`: what is written can be undone.
    """

    embed: bool = True
    sidecar: bool = False
    journal: bool = True
    encoding: Encoding = field(default_factory=Encoding)
    rewrite: RewriteOptions = field(default_factory=RewriteOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Which albums are worked on, and what for. `limit`: at most so many, None for all."""

    paths: tuple[Path, ...]
    scan: ScanOptions = field(default_factory=ScanOptions)
    force: bool = False
    fill: bool = False
    limit: int | None = None
    write: WriteOptions = field(default_factory=WriteOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintOptions:
    """With what, and how, covers are painted.

    `device` and `dtype` are words of `choose_compute`. `workers` processes decode audio.
    `batch_size` is in covers, None to choose by free memory. `lora_rank` is what the adapter must
    have, None for any. `size` is the side of covers in pixels, None for the model's own.
    """

    preset: Preset
    device: str
    dtype: str
    workers: int
    batch_size: int | None = None
    lora_rank: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """Everything that decides what `tag` does."""

    plan: PlanOptions
    paint: PaintOptions
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """What `tag` would paint, and the folder that it is painted into instead.

    Each album gets so many `candidates`, and with `audio` an excerpt. `retry` is a choices.json:
    only the albums that it marks are painted, anew. `command` is what a retry has to know of the
    command, in values of JSON.
    """

    tag: TagOptions
    folder: Path
    candidates: int = 1
    audio: bool = True
    retry: Path | None = None
    command: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """A preview's folder, the choices.json that was made of it, and how covers are written.

    `libraries` say where the folders of the library are now; without them, they are where they
    were. `follow_symlinks`: links in them may lead out of them. `cover_names`: globs of cover
    files.
    """

    folder: Path
    choices: Path | None = None
    libraries: tuple[Path, ...] = ()
    follow_symlinks: bool = False
    cover_names: tuple[str, ...] = COVER_NAMES
    write: WriteOptions = field(default_factory=WriteOptions)
