"""An adapter in the layout of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.errors import ModelError, UsageError
from covergen.models.locate import locate
from covergen.models.presets import load_presets

if TYPE_CHECKING:
    from covergen.diffusion.export import Layout

__all__ = ["export_adapter"]


def export_adapter(adapter: str, folder: Path, layout: Layout, *, force: bool) -> tuple[Path, ...]:
    """Write an adapter's LoRA and its projection into `folder`; returns the files.

    `adapter` is a file, a name on the Hub, or a model that has an adapter of its own. Raises
    ModelError, and UsageError where files would be replaced without `force`.
    """
    return _export(_locate(adapter), folder, layout, force=force)


def _locate(adapter: str) -> Path:
    """The file of an adapter, found before anything heavy loads."""
    preset = load_presets().get(adapter)
    if preset and preset.adapter:
        return locate(preset.adapter, "adapter")
    if preset and not Path(adapter).exists():
        raise ModelError(
            f"The model {adapter!r} has no adapter of its own.",
            hint="Name a file, or a model that covergen finetune --save-as has made.",
        )
    return locate(adapter, "adapter")


def _export(adapter: Path, folder: Path, layout: Layout, *, force: bool) -> tuple[Path, ...]:
    from covergen.diffusion.adapter_file import inspect
    from covergen.diffusion.export import export, files_of

    info = inspect(adapter)
    files = tuple(folder / name for name in files_of(info, layout))
    there = [file.name for file in files if file.exists()]
    if there and not force:
        raise UsageError(f"{folder} already holds {', '.join(there)}: --force replaces them.")
    export(info, folder, layout)
    return files
