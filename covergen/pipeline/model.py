"""Choose, locate and load a model. Everything is located before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from covergen.core.cover import PRINTS, Sampling
from covergen.core.dependencies import check_dependencies
from covergen.core.errors import ModelError, ModelMissingError, OptionError, UsageError
from covergen.library.writing.change import file_hash
from covergen.models.locate import locate, revision_of
from covergen.models.part_files import is_pipeline, select_in
from covergen.models.presets import (
    UNNAMED,
    at_quality,
    find_preset,
    load_presets,
    lora_texts,
    steps_at,
    unnamed_preset,
)
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.album_words import check_words, load_words
from covergen.pipeline.events import (
    BaseChanged,
    DistilledBase,
    GpuUnused,
    ModelLoading,
    NegativeUnused,
    UnknownWords,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.compute.device import Compute
    from covergen.core.cover import PaintRequest
    from covergen.diffusion.pipeline_config import PipelineConfig
    from covergen.models.presets import Preset
    from covergen.pipeline.album_words import WordFinder
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.options import PaintOptions


DEFAULT_MODEL = "starter"
NO_ADAPTER = "none"
"""The value of --adapter, and of Provenance.adapter, for painting from words alone."""

DIFFUSION_OPTIONS = ("steps", "guidance", "scheduler", "guided_from", "guided_until", "reuse")
"""Fields of Sampling that do not apply to a procedural model."""

_DISTILLED_STEPS, _DISTILLED_GUIDANCE = 10, 2.0  # the most that distilled bases are made for


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The model options of a command. None means the preset's value, at this quality.

    `model` is None if no model was named: the default model, or an unnamed one if all of its parts
    are given. `base` and `clap` are folders or names on the Hub; the `adapter` "none" leaves out
    the preset's.
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
    negative: str | None = None
    windows: int | None = None
    padding: str | None = None


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

    `device`, `dtype`, `adapter_sha256`, `revision` and `loras` are as in Provenance. `sampling` is
    the preset's with the defaults of a pipeline filled in. `words` finds the prompt of each album
    for a model without an adapter; None for others.
    """

    audio_encoder: AudioEncoder
    device: str
    dtype: str
    adapter_sha256: str
    sampling: Sampling
    revision: str = ""
    loras: str = ""
    paint_batches: PaintBatches
    words: WordFinder | None = None


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
    negative = preset.negative if choice.negative is None else choice.negative
    _check_text((*styles, negative))
    if base == PROCEDURAL and not makes_adapter:  # training is refused later
        from covergen.poster.model import check_styles

        _refuse_diffusion_options(preset, choice)
        check_styles(filter(None, styles))
    # What a preset says about sampling is for its own base.
    own_base = base == preset.base
    finish = preset.sampling.finish if own_base else "none"
    sampling = replace(preset.sampling, **{"finish": finish, **overrides})
    given = {*overrides, *(preset.given if own_base or choice.quality == "reference" else ())}
    if choice.inks is not None and sampling.finish not in PRINTS:
        raise OptionError("inks", "applies to the finishes print and paper only.")
    return replace(
        preset,
        base=base,
        clap=choice.clap or preset.clap,
        adapter=None if choice.adapter == NO_ADAPTER else choice.adapter or preset.adapter,
        windows=choice.windows or preset.windows,
        padding=choice.padding or preset.padding,
        styles=styles,
        negative=negative,
        # A probe fits one CLAP model only, and the words of a vocabulary one base.
        mood=preset.mood if choice.clap in (None, preset.clap) else None,
        vocabulary=preset.vocabulary if choice.base in (None, preset.base) else None,
        sampling=sampling,
        given=tuple(sorted(given)),
        pipeline=preset.pipeline and own_base,
    )


def _named_preset(choice: ModelChoice, *, makes_adapter: bool) -> Preset:
    base, clap = choice.base, choice.clap
    if choice.model is None and base and clap and (choice.adapter or makes_adapter):
        return unnamed_preset(base, clap, None if choice.adapter == NO_ADAPTER else choice.adapter)
    return find_preset(choice.model or DEFAULT_MODEL, load_presets())


def _refuse_diffusion_options(preset: Preset, choice: ModelChoice) -> None:
    if choice.quality == "reference":
        raise OptionError(
            "quality", f"reference does not apply to {preset.name!r}: it draws by rules."
        )
    if choice.adapter == NO_ADAPTER:
        raise UsageError(f"--adapter none does not apply to {preset.name!r}: it draws by rules.")
    for name in (*DIFFUSION_OPTIONS, "negative"):
        if getattr(choice, name) is not None:
            raise OptionError(
                name,
                f"does not apply to {preset.name!r}: it draws by rules.",
                hint="Leave it out, also in config.toml.",
            )


def _check_text(prompts: Sequence[str]) -> None:
    for prompt in prompts:
        try:
            prompt.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The prompt {prompt!r} is not valid UTF-8.") from None


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


def check_model(options: PaintOptions) -> None:
    """Check everything that can be checked without loading weights.

    On a cluster, only whether it can be reached: its machines have the model. Raises ModelError,
    UsageError for the device or for settings that a pipeline does not have, ClusterError, and
    DependencyError for a broken package.
    """
    if options.ray is not None:
        from covergen.pipeline.engines.ray_cluster import check_ray

        check_ray(options.ray)
        return
    files = locate_model(options.preset)
    _choose_compute(options)
    check_dependencies(("transformers", "diffusers", "peft", "av"))
    if files.pipeline:
        from covergen.diffusion.pipeline_config import read_pipeline_config

        preset = options.preset
        config = read_pipeline_config(files.base)
        _pipeline_sampling(config, preset)
        config.check_negative(preset.negative)


def _choose_compute(options: PaintOptions) -> Compute:
    from covergen.compute.device import choose_compute

    dtype = options.preset.dtype or "auto" if options.dtype == "auto" else options.dtype
    return choose_compute(options.device, dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model whose painter is not loaded yet; the audio encoder loads its own weights later."""

    options: PaintOptions
    files: ModelFiles
    compute: Compute
    audio_encoder: AudioEncoder

    def load(self, emit: Emit) -> Model:
        """Load the painter, after checking that the adapter fits its base and CLAP.

        Raises ModelError.
        """
        with _read_errors():
            if self.options.preset.base == PROCEDURAL and self.files.adapter:
                return _load_poster(
                    self.audio_encoder, self.files.adapter, self.compute, self.options
                )
            load = _load_pipeline if self.files.pipeline else _load_diffusion
            model = load(self.audio_encoder, self.files, self.compute, self.options, emit)
        guidance = model.sampling.guidance
        if self.options.preset.negative and guidance <= 1:
            emit(NegativeUnused(guidance=guidance))
        return model


def find_model(options: PaintOptions, emit: Emit) -> FoundModel:
    """Find a model that is about to be loaded.

    Raises ModelError, and UsageError for a device that this machine does not have.
    """
    files = locate_model(options.preset)
    compute = _choose_compute(options)
    name = options.preset.name
    if name == UNNAMED and files.adapter:
        name = files.adapter.name
    audio_encoder = _find_audio_encoder(files.clap, compute, options.preset, name, emit)
    return FoundModel(options=options, files=files, compute=compute, audio_encoder=audio_encoder)


def find_audio_encoder(options: PaintOptions, emit: Emit) -> AudioEncoder:
    """Find the audio encoder of a model, which is about to be loaded alone.

    Raises ModelError, and UsageError for a device that this machine does not have.
    """
    from covergen.compute.device import choose_compute

    clap = locate_part(options.preset, "clap")
    compute = choose_compute(options.device, options.dtype)  # the preset's dtype is the painter's
    return _find_audio_encoder(clap, compute, options.preset, "", emit)


def _find_audio_encoder(
    clap: Path, compute: Compute, preset: Preset, name: str, emit: Emit
) -> AudioEncoder:
    """`name` is as in ModelLoading."""
    from covergen.audio.clap import AudioEncoder

    if compute.unused:
        emit(GpuUnused(why=compute.unused))
    emit(ModelLoading(name=name))
    with _read_errors():
        return AudioEncoder(
            clap, device=compute.device, dtype=compute.dtype, padding=preset.padding
        )


@contextmanager
def _read_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is None:  # a shared library that failed to load
            raise
        raise ModelError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _load_poster(
    audio_encoder: AudioEncoder, adapter: Path, compute: Compute, options: PaintOptions
) -> Model:
    from covergen.poster.model import load_poster

    poster = load_poster(adapter, d_audio=audio_encoder.dimension, styles=_styles(options))
    paint_batches = partial(poster.paint_batches, size=options.size)
    return Model(
        audio_encoder=audio_encoder,
        device=compute.device.type,
        dtype=compute.dtype_name,
        adapter_sha256=poster.sha256,
        sampling=options.preset.sampling,
        paint_batches=paint_batches,
    )


def _load_pipeline(
    audio_encoder: AudioEncoder,
    files: ModelFiles,
    compute: Compute,
    options: PaintOptions,
    emit: Emit,
) -> Model:
    from covergen.diffusion.pipeline_loading import load_pipeline

    preset = options.preset
    # Found before the base takes its memory.
    words = load_words(preset, files.clap, audio_encoder, device=compute.device)
    painter = load_pipeline(
        files.base,
        name=preset.base if preset.name == UNNAMED else preset.name,
        device=compute.device,
        dtype=compute.dtype,
        variant=select_in(files.base, "base", variant=preset.variant).variant,
        offload=preset.offload,
        loras=_weighted(preset, files),
        vae=files.vae,
        negative=preset.negative,
    )
    sampling = _pipeline_sampling(painter.config, preset)
    _warn_if_distilled(preset, files, sampling, emit)
    return Model(
        audio_encoder=audio_encoder,
        device=compute.device.type,
        dtype=compute.dtype_name,
        adapter_sha256=NO_ADAPTER,
        sampling=sampling,
        revision=revision_of(files.base),
        loras=_lora_texts(preset, files),
        paint_batches=painter.paint_batches,
        words=words,
    )


def _pipeline_sampling(config: PipelineConfig, preset: Preset) -> Sampling:
    """A preset's sampling, with a pipeline's own settings at the preset's quality.

    Raises UsageError for a given setting that the pipeline does not have.
    """
    sampling = config.sampling(preset.sampling, preset.given)
    # A default of so few steps is that of a distilled model, which only works with these.
    if "steps" in preset.given or sampling.steps <= _DISTILLED_STEPS:
        return sampling
    return replace(sampling, steps=steps_at(sampling.steps, preset.quality))


def _weighted(preset: Preset, files: ModelFiles) -> list[tuple[Path, float]]:
    return [(file, lora.weight) for file, lora in zip(files.loras, preset.loras, strict=True)]


def _lora_texts(preset: Preset, files: ModelFiles) -> str:
    return lora_texts(preset.loras, [file_hash(file) for file in files.loras])


def _warn_if_distilled(preset: Preset, files: ModelFiles, sampling: Sampling, emit: Emit) -> None:
    """Warn of sampling settings that ruin the pictures of a distilled base."""
    from covergen.diffusion.pipeline_config import is_distilled

    fits = sampling.steps <= _DISTILLED_STEPS and sampling.guidance <= _DISTILLED_GUIDANCE
    if not fits and is_distilled(files.base, preset.base):
        emit(DistilledBase(base=preset.base, sampling=sampling))


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

    preset = options.preset
    words = None  # found before the base takes its memory
    if files.adapter is None:
        words = load_words(preset, files.clap, audio_encoder, device=compute.device)
    painter = load_painter(
        files.base,
        files.adapter,
        d_audio=audio_encoder.dimension,
        device=compute.device,
        dtype=compute.dtype,
        styles=_styles(options),
        negative=preset.negative,
        loras=_weighted(preset, files),
        vae=files.vae,
    )
    _warn_if_distilled(preset, files, preset.sampling, emit)
    if painter.unknown_words:
        emit(UnknownWords(model=preset.name, words=painter.unknown_words))
    if painter.adapter and painter.adapter.base_mark not in ("", mark_of(painter.config)):
        emit(BaseChanged(name=preset.name))
    return Model(
        audio_encoder=audio_encoder,
        device=compute.device.type,
        dtype=compute.dtype_name,
        adapter_sha256=painter.adapter.sha256 if painter.adapter else NO_ADAPTER,
        sampling=preset.sampling,
        revision=revision_of(files.base),
        loras=_lora_texts(preset, files),
        paint_batches=partial(paint_batches, painter),
        words=words,
    )
