"""From the names that a user gives to the files of a model, found before anything heavy loads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from covergen.core.errors import ModelError
from covergen.jobs.events import ModelLoading
from covergen.models.locate import locate
from covergen.models.presets import find_preset, load_presets

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.audio.clap import Tower
    from covergen.diffusion.sampler import Painter
    from covergen.jobs.compute import Compute
    from covergen.jobs.events import Emit
    from covergen.models.presets import Preset

__all__ = ["Model", "ModelChoice", "ModelFiles", "choose_preset", "load_model", "locate_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """What the user said of the model. None: as the preset has it.

    `base` and `clap` are a folder or a name on the Hub.
    """

    model: str
    base: str | None = None
    clap: str | None = None
    adapter: str | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    windows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The three parts of a model on this machine: two folders and the adapter's file."""

    base: Path
    clap: Path
    adapter: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that is ready to listen and to paint."""

    name: str
    tower: Tower
    painter: Painter


def choose_preset(choice: ModelChoice) -> Preset:
    """The preset with the user's own wishes over it; looks for no files."""
    preset = find_preset(choice.model, load_presets())
    wishes = {
        name: value
        for name in ("steps", "guidance", "scheduler")
        if (value := getattr(choice, name)) is not None
    }
    return replace(
        preset,
        base=choice.base or preset.base,
        clap=choice.clap or preset.clap,
        adapter=choice.adapter or preset.adapter,
        windows=choice.windows or preset.windows,
        sampling=replace(preset.sampling, **wishes),
    )


def locate_model(preset: Preset) -> ModelFiles:
    """Find the parts of a preset on this machine; never reaches for the network.

    Raises ModelMissingError for a part that is not here, and ModelError for a preset without an
    adapter: nothing ties its pictures to the music.
    """
    if preset.adapter is None:
        raise ModelError(
            f"The model {preset.name!r} has no adapter of its own, and without one its pictures"
            " would have nothing to do with the music.",
            hint="Give one with --adapter FILE: one of covergen's, or a checkpoint that the"
            " art-from-audio scripts trained.",
        )
    return ModelFiles(
        base=locate(preset.base, "base", model=preset.name),
        clap=locate(preset.clap, "clap", model=preset.name),
        adapter=locate(preset.adapter, "adapter", model=preset.name),
    )


def load_model(
    preset: Preset, compute: Compute, *, lora_rank: int | None = None, emit: Emit
) -> Model:
    """Load the weights; the adapter is held against base and CLAP before that.

    Raises ModelError.
    """
    from covergen.audio.clap import Tower
    from covergen.diffusion.sampler import load_painter

    files = locate_model(preset)
    emit(ModelLoading(name=preset.name))
    tower = Tower(files.clap, device=compute.device, dtype=compute.dtype)
    painter = load_painter(
        files.base,
        files.adapter,
        d_audio=tower.dimension,
        device=compute.device,
        dtype=compute.dtype,
        lora_rank=lora_rank,
    )
    return Model(name=preset.name, tower=tower, painter=painter)
