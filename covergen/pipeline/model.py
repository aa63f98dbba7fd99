"""Choose, locate and load a model. Everything is located before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from covergen.core.dependencies import check_dependencies
from covergen.core.errors import ModelError, UsageError
from covergen.core.types import Sampling
from covergen.models.locate import locate
from covergen.models.presets import (
    UNNAMED,
    at_quality,
    find_preset,
    load_presets,
    unnamed_preset,
)
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.events import BaseChanged, GpuUnused, ModelLoading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.compute.device import Compute
    from covergen.core.types import PaintRequest
    from covergen.models.files import Kind
    from covergen.models.presets import Preset
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.options import PaintOptions

__all__ = [
    "DEFAULT_MODEL",
    "DIFFUSION_OPTIONS",
    "Model",
    "ModelChoice",
    "ModelFiles",
    "check_model",
    "choose_preset",
    "load_model",
    "locate_model",
    "locate_part",
]


DEFAULT_MODEL = "starter"
DIFFUSION_OPTIONS = ("steps", "guidance", "scheduler", "guided_from", "guided_until", "reuse")
"""Fields of Sampling that do not apply to a procedural model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The model options of a command. None means the preset's value, at this quality.

    `model` is None if no model was named: the default model, or an unnamed one if all of its parts
    are given. `base` and `clap` are folders or names on the Hub.
    """

    model: str | None = None
    base: str | None = None
    clap: str | None = None
    adapter: str | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    guided_from: float | None = None
    guided_until: float | None = None
    reuse: int | None = None
    finish: str | None = None
    inks: int | None = None
    title: str | None = None
    quality: str = "standard"
    styles: tuple[str, ...] = ()
    windows: int | None = None
    padding: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The local paths of a model's parts: two folders and the adapter file."""

    base: Path
    clap: Path
    adapter: Path


class PaintBatches(Protocol):
    """Paints pictures in batches, in the order of their requests: (H, W, 3) uint8 sRGB each."""

    def __call__(
        self,
        requests: Iterable[PaintRequest],
        sampling: Sampling,
        *,
        batch_size: int | None,
        check_interrupted: CheckInterrupted,
        on_step: Callable[[int, float], None],
    ) -> Iterator[Sequence[NDArray[np.uint8]] | NDArray[np.uint8]]:
        """Yield each painted batch. `check_interrupted` may raise Interrupted.

        `on_step` is called with the size of the batch and the share of its work that is done.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A loaded model: the audio encoder, and the function that paints.

    `device` and `dtype` are as in Provenance.
    """

    audio_encoder: AudioEncoder
    device: str
    dtype: str
    adapter_sha256: str
    paint_batches: PaintBatches


def choose_preset(choice: ModelChoice, *, makes_adapter: bool = False) -> Preset:
    """Return the preset with the user's options applied; does not look for files.

    If every part is given and no model is named, no preset applies. A command that `makes_adapter`
    needs no adapter for that. Raises UsageError for options that do not apply.
    """
    preset = _named_preset(choice, makes_adapter=makes_adapter)
    overrides = {
        name: value
        for name in (field.name for field in fields(Sampling))
        if (value := getattr(choice, name)) is not None
    }
    base = choice.base or preset.base
    if base != PROCEDURAL:
        preset = at_quality(preset, choice.quality)
    styles = choice.styles or preset.styles
    _check_text(styles)
    if base == PROCEDURAL and not makes_adapter:  # training is refused later
        from covergen.poster.model import check_styles

        _refuse_diffusion_options(preset, choice)
        check_styles(filter(None, styles))
    sampling = replace(preset.sampling, **overrides)
    if choice.inks is not None and sampling.finish == "none":
        raise UsageError("--inks applies to --finish print and --finish paper only.")
    return replace(
        preset,
        base=base,
        clap=choice.clap or preset.clap,
        adapter=choice.adapter or preset.adapter,
        windows=choice.windows or preset.windows,
        padding=choice.padding or preset.padding,
        styles=styles,
        sampling=sampling,
    )


def _named_preset(choice: ModelChoice, *, makes_adapter: bool) -> Preset:
    base, clap = choice.base, choice.clap
    if choice.model is None and base and clap and (choice.adapter or makes_adapter):
        return unnamed_preset(base, clap, choice.adapter)
    return find_preset(choice.model or DEFAULT_MODEL, load_presets())


def _refuse_diffusion_options(preset: Preset, choice: ModelChoice) -> None:
    if choice.quality == "reference":
        raise UsageError(
            f"--quality reference does not apply to {preset.name!r}: it draws by rules."
        )
    for name in DIFFUSION_OPTIONS:
        if getattr(choice, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} does not apply to {preset.name!r}: it draws by rules.",
                hint=f"Leave out {option}, also in config.toml.",
            )


def _check_text(styles: Sequence[str]) -> None:
    for style in styles:
        try:
            style.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The style {style!r} is not valid UTF-8.") from None


def locate_model(preset: Preset) -> ModelFiles:
    """Find the parts of a preset on this machine, without using the network.

    Raises ModelMissingError for a missing part, and ModelError for a preset without an adapter,
    since nothing would relate its pictures to the music.
    """
    if preset.adapter is None:
        raise ModelError(
            f"The model {preset.name!r} has no adapter. Without one, its pictures would not depend"
            " on the music.",
            hint="Train one on pairs of music and covers with `covergen finetune DATASET --model"
            f" {preset.name}`, or pass one with --adapter FILE (art-from-audio's also work).",
        )
    return ModelFiles(
        base=locate_part(preset, "base"),
        clap=locate_part(preset, "clap"),
        adapter=locate_part(preset, "adapter"),
    )


def locate_part(preset: Preset, kind: Kind) -> Path:
    """Find one part of a preset. Raises ModelMissingError, which names the preset to pull."""
    source = getattr(preset, kind)
    defined = load_presets().get(preset.name)
    is_own = defined is not None and source == getattr(defined, kind)
    return locate(source, kind, model=preset.name if is_own else "")


def check_model(options: PaintOptions) -> None:
    """Check everything that can be checked without loading weights.

    Raises ModelError, UsageError for the device, and DependencyError for a broken package.
    """
    from covergen.compute.device import choose_compute

    locate_model(options.preset)
    choose_compute(options.device, options.dtype)
    check_dependencies(("transformers", "diffusers", "peft", "av"))


def load_model(options: PaintOptions, emit: Emit) -> Model:
    """Load a model's weights, after checking that its adapter fits its base and CLAP.

    Raises ModelError, and UsageError for a device that this machine does not have.
    """
    from covergen.audio.clap import AudioEncoder
    from covergen.compute.device import choose_compute

    files = locate_model(options.preset)
    compute = choose_compute(options.device, options.dtype)
    if compute.unused:
        emit(GpuUnused(why=compute.unused))
    name = options.preset.name
    emit(ModelLoading(name=files.adapter.name if name == UNNAMED else name))
    try:
        audio_encoder = AudioEncoder(
            files.clap,
            device=compute.device,
            dtype=compute.dtype,
            padding=options.preset.padding,
        )
        if options.preset.base == PROCEDURAL:
            return _load_poster(audio_encoder, files, compute, options)
        return _load_diffusion(audio_encoder, files, compute, options, emit)
    except OSError as error:
        if error.filename is None:  # a shared library that failed to load
            raise
        raise ModelError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _load_poster(
    audio_encoder: AudioEncoder, files: ModelFiles, compute: Compute, options: PaintOptions
) -> Model:
    from covergen.poster.model import load_poster

    poster = load_poster(files.adapter, d_audio=audio_encoder.dimension, styles=_styles(options))
    paint_batches = partial(poster.paint_batches, size=options.size)
    return Model(
        audio_encoder=audio_encoder,
        device=compute.device.type,
        dtype=compute.dtype_name,
        adapter_sha256=poster.sha256,
        paint_batches=paint_batches,
    )


def _styles(options: PaintOptions) -> list[str]:
    """Return the styles of a model, without "" (no style)."""
    return [style for style in options.preset.styles if style]


def _load_diffusion(
    audio_encoder: AudioEncoder,
    files: ModelFiles,
    compute: Compute,
    options: PaintOptions,
    emit: Emit,
) -> Model:
    from covergen.diffusion.base_config import mark_of
    from covergen.diffusion.painter import load_painter
    from covergen.diffusion.sampler import paint_batches

    painter = load_painter(
        files.base,
        files.adapter,
        d_audio=audio_encoder.dimension,
        device=compute.device,
        dtype=compute.dtype,
        lora_rank=options.lora_rank,
        styles=_styles(options),
    )
    if painter.adapter.base_mark not in ("", mark_of(painter.config)):
        emit(BaseChanged(name=options.preset.name))
    return Model(
        audio_encoder=audio_encoder,
        device=compute.device.type,
        dtype=compute.dtype_name,
        adapter_sha256=painter.adapter.sha256,
        paint_batches=partial(paint_batches, painter),
    )
