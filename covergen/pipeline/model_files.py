"""Find the files of a model on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from covergen.core.errors import ModelError, ModelMissingError
from covergen.models.locate import locate
from covergen.models.part_files import is_pipeline
from covergen.models.presets import load_presets
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.album_words import check_words

if TYPE_CHECKING:
    from covergen.models.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The local paths of a model's parts: two folders and the adapter file, if there is one.

    `loras` are files and `vae` is a folder; `pipeline`: diffusers paints.
    """

    base: Path
    clap: Path
    adapter: Path | None
    loras: tuple[Path, ...] = ()
    vae: Path | None = None
    pipeline: bool = False


def locate_model(preset: Preset) -> ModelFiles:
    """Find the parts of a preset on this machine, without using the network.

    Raises ModelMissingError for a missing part or, without an adapter, if no words can be found for
    the music; ModelError for an adapter whose base does not take one; and SettingsError for
    mistakes in the vocabulary.
    """
    if preset.base == PROCEDURAL and preset.adapter is None:
        raise ModelError(
            f"The model {preset.name!r} has no adapter: it draws what a mood probe reads.",
            hint="Set its adapter to that of the poster model.",
        )
    pipeline = _is_pipeline(preset)
    check_adapter(preset, pipeline=pipeline)
    loras, vae = locate_extras(preset)
    files = ModelFiles(
        base=locate_part(preset, "base"),
        clap=locate_part(preset, "clap"),
        adapter=None if preset.adapter is None else locate_part(preset, "adapter"),
        loras=loras,
        vae=vae,
        pipeline=pipeline,
    )
    if files.adapter is None:
        check_words(preset, files.clap)
    return files


def check_adapter(preset: Preset, *, pipeline: bool) -> None:
    """Raise ModelError for an adapter whose base is painted with as a whole."""
    if pipeline and preset.adapter is not None:
        raise ModelError(
            f"The model {preset.name!r} cannot use an adapter: adapters need a base like Stable"
            f" Diffusion 1.x or 2.x, and diffusers paints with {preset.base} as a whole.",
            hint="Leave the adapter out (--adapter none): the pictures then follow words for the"
            " music.",
        )


def _is_pipeline(preset: Preset) -> bool:
    """Whether diffusers paints with a preset's base, as far as that is known."""
    if preset.pipeline:
        return True
    try:
        return is_pipeline(locate_part(preset, "base"))
    except ModelMissingError:
        return False


def locate_part(preset: Preset, kind: Literal["base", "clap", "adapter"]) -> Path:
    """Find one part of a preset. Raises ModelMissingError, which names the preset to pull."""
    source = getattr(preset, kind)
    defined = load_presets().get(preset.name)
    is_own = defined is not None and source == getattr(defined, kind)
    return locate(source, kind, model=preset.name if is_own else "")


def locate_extras(preset: Preset) -> tuple[tuple[Path, ...], Path | None]:
    """Find the LoRAs of a preset, and its VAE if it has its own. Raises ModelMissingError."""
    loras = tuple(locate(lora.source, "lora", model=preset.name) for lora in preset.loras)
    vae = preset.vae
    return loras, None if vae is None else locate(vae, "vae", model=preset.name)
