"""What decides how a run goes: the words of the command line, checked and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covergen.core.picture import Encoding
from covergen.library.rewrite import RewriteOptions
from covergen.library.scan import ScanOptions

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.models.presets import Preset

__all__ = ["PaintOptions", "PlanOptions", "TagOptions", "WriteOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Where a cover goes: into the tracks (`embed`), beside them (`sidecar`), or both."""

    embed: bool = True
    sidecar: bool = False
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

    `device` and `dtype` are words of `choose_compute`. `workers` threads decode audio.
    `batch_size` is in covers, None to choose by free memory. `lora_rank` is what the adapter must
    have, None for any.
    """

    preset: Preset
    device: str
    dtype: str
    workers: int
    batch_size: int | None = None
    lora_rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """Everything that decides what `tag` does."""

    plan: PlanOptions
    paint: PaintOptions
    seed: int = 0
