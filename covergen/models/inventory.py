"""The parts of a model on this machine, with their paths and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from covergen.core.errors import ModelMissingError
from covergen.models.files import KINDS, names_in, select
from covergen.models.locate import locate
from covergen.models.sources import PAINTER_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.models.files import Kind
    from covergen.models.presets import Preset

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a model. `path` is the result of `locate`, or None if the part is missing.

    `size_bytes` is the total of the files that covergen reads. `missing` is the error of `locate`.
    """

    kind: Kind
    source: str
    path: Path | None
    size_bytes: int = 0
    missing: ModelMissingError | None = None


def parts_of(preset: Preset) -> tuple[Part, ...]:
    """Return the parts of a model: base, CLAP and, if it has one, adapter. Uses no network."""
    sources = {"base": preset.base, "clap": preset.clap, "adapter": preset.adapter}
    return tuple(
        _part(source, kind, preset.name) for kind in KINDS if (source := sources[kind]) is not None
    )


def _part(source: str, kind: Kind, model: str) -> Part:
    try:
        path = locate(source, kind, model=model)
    except ModelMissingError as error:
        return Part(kind=kind, source=source, path=None, missing=error)
    return Part(kind=kind, source=source, path=path, size_bytes=_size_bytes(path, kind))


def _size_bytes(path: Path, kind: Kind) -> int:
    if path.is_file():
        return path.stat().st_size
    if path == PAINTER_FOLDER:
        return 0  # code, not weights
    return sum((path / name).stat().st_size for name in select(kind, names_in(path)).files)
