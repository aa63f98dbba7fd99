"""Export an adapter in the layout of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.errors import ModelError, UsageError
from covergen.models.locate import locate
from covergen.models.presets import load_presets

if TYPE_CHECKING:
    from covergen.diffusion.export import Layout


def export_adapter(adapter: str, folder: Path, layout: Layout, *, force: bool) -> tuple[Path, ...]:
    """Write an adapter's LoRA weights and audio projection to `folder`; return the files.

    `adapter` is a file, a name on the Hub, or a model that has its own adapter. Raises ModelError,
    and UsageError if files would be replaced without `force`.
    """
    file = _locate(adapter)  # before anything heavy is imported
    from covergen.diffusion.adapter_file import inspect
    from covergen.diffusion.export import export, files_of

    info = inspect(file)
    files = tuple(folder / name for name in files_of(info, layout))
    existing = [file.name for file in files if file.exists()]
    if existing and not force:
        raise UsageError(f"{folder} already contains {', '.join(existing)}: --force replaces them.")
    export(info, folder, layout)
    return files


def _locate(adapter: str) -> Path:
    """Return the adapter's file, before anything heavy is imported."""
    preset = load_presets().get(adapter)
    if preset and preset.adapter:
        return locate(preset.adapter, "adapter")
    if preset and not Path(adapter).exists():
        raise ModelError(
            f"The model {adapter!r} has no adapter.",
            hint="Name a file, or a model created with covergen finetune --save-as.",
        )
    return locate(adapter, "adapter")
