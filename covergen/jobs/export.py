"""An adapter in the layout of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.core.errors import UsageError
from covergen.diffusion.adapter_file import inspect
from covergen.diffusion.export import export, files_of
from covergen.models.locate import locate
from covergen.models.presets import load_presets

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.diffusion.export import Layout

__all__ = ["export_adapter"]


def export_adapter(adapter: str, folder: Path, layout: Layout, *, force: bool) -> tuple[Path, ...]:
    """Write an adapter's LoRA and its projection into `folder`; returns the files.

    `adapter` is a file, a name on the Hub, or a model that has an adapter of its own. Raises
    ModelError, and UsageError where files would be replaced without `force`.
    """
    preset = load_presets().get(adapter)
    source = preset.adapter if preset and preset.adapter else adapter
    info = inspect(locate(source, "adapter"))
    files = tuple(folder / name for name in files_of(info, layout))
    there = [file.name for file in files if file.exists()]
    if there and not force:
        raise UsageError(f"{folder} already holds {', '.join(there)}: --force replaces them.")
    export(info, folder, layout)
    return files
