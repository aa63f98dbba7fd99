"""The parts of a model on this machine, with their paths and sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.errors import ModelMissingError
from covergen.models.locate import locate
from covergen.models.part_files import select_in
from covergen.models.sources import PAINTER_FOLDER

if TYPE_CHECKING:
    from covergen.models.part_files import Kind
    from covergen.models.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a model. `path` is the result of `locate`, or None if the part is missing.

    `size_bytes` is the total of the files that covergen reads. `missing` is the error of `locate`.
    `weight` is that of a LoRA.
    """

    kind: Kind
    source: str
    path: Path | None
    size_bytes: int = 0
    missing: ModelMissingError | None = None
    weight: float = 1.0


def parts_of(preset: Preset) -> tuple[Part, ...]:
    """Return the parts that a model has, in the order of Kind. Uses no network."""
    loras = (
        replace(_part(lora.source, "lora", preset), weight=lora.weight) for lora in preset.loras
    )
    return (
        _part(preset.base, "base", preset),
        _part(preset.clap, "clap", preset),
        *([_part(preset.adapter, "adapter", preset)] if preset.adapter is not None else []),
        *loras,
        *([_part(preset.vae, "vae", preset)] if preset.vae is not None else []),
    )


def _part(source: str, kind: Kind, preset: Preset) -> Part:
    try:
        path = locate(source, kind, model=preset.name)
    except ModelMissingError as error:
        return Part(kind=kind, source=source, path=None, missing=error)
    size_bytes = _size_bytes(path, kind, preset.variant)
    return Part(kind=kind, source=source, path=path, size_bytes=size_bytes)


def _size_bytes(path: Path, kind: Kind, variant: str | None) -> int:
    if path.is_file():
        return path.stat().st_size
    if path == PAINTER_FOLDER:
        return 0  # code, not weights
    files = select_in(path, kind, variant=variant).files
    return sum((path / name).stat().st_size for name in files)
