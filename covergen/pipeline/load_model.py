"""Check and load a model. Everything is checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from covergen.audio.clap_folder import read_clap_folder
from covergen.compute.device import Compute, worker_count
from covergen.core.cover import PaintRequest, Sampling
from covergen.core.dependencies import check_dependencies
from covergen.core.errors import ModelError
from covergen.library.writing.change import file_hash
from covergen.models.locate import revision_of
from covergen.models.part_files import select_in
from covergen.models.presets import UNNAMED, lora_texts, steps_at
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.album_words import load_words
from covergen.pipeline.events import (
    AdapterMismatch,
    CheckInterrupted,
    CompilingFailed,
    DistilledBase,
    Emit,
    GpuUnused,
    ModelLoading,
    NegativeUnused,
    UnknownWords,
)
from covergen.pipeline.model_choice import NO_ADAPTER
from covergen.pipeline.model_files import locate_model, locate_part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.diffusion.pipeline_config import PipelineConfig
    from covergen.models.presets import Preset
    from covergen.pipeline.album_words import WordFinder
    from covergen.pipeline.model_files import ModelFiles
    from covergen.pipeline.options import PaintOptions


_DISTILLED_STEPS, _DISTILLED_GUIDANCE = 10, 2.0  # the most that distilled bases are made for


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

    @property
    def workers(self) -> int:
        """The number of decoder processes, and of threads that finish pictures."""
        return worker_count(self.options.workers, self.compute.device.type)

    def load(self, emit: Emit) -> Model:
        """Load the painter, after checking that the adapter fits its base and CLAP.

        Raises ModelError.
        """
        preset = self.options.preset
        with _read_errors():
            if preset.base == PROCEDURAL and self.files.adapter:
                return self._load_poster(self.files.adapter)
            model = self._load_pipeline() if self.files.pipeline else self._load_diffusion(emit)
            self._warn_if_distilled(model.sampling, emit)
        if preset.negative and model.sampling.guidance <= 1:
            emit(NegativeUnused(guidance=model.sampling.guidance))
        return model

    def _load_poster(self, adapter: Path) -> Model:
        from covergen.poster.model import load_poster

        d_audio = self.audio_encoder.dimension
        poster = load_poster(adapter, d_audio=d_audio, styles=self._styles)
        return Model(
            audio_encoder=self.audio_encoder,
            device=self.compute.device.type,
            dtype=self.compute.dtype_name,
            adapter_sha256=poster.sha256,
            sampling=self.options.preset.sampling,
            paint_batches=partial(poster.paint_batches, size=self.options.size),
        )

    def _load_pipeline(self) -> Model:
        from covergen.diffusion.pipeline_loading import load_pipeline

        preset, base = self.options.preset, self.files.base
        words = self._load_words()  # before the base takes its memory
        painter = load_pipeline(
            base,
            name=preset.base if preset.name == UNNAMED else preset.name,
            device=self.compute.device,
            dtype=self.compute.dtype,
            variant=select_in(base, "base", variant=preset.variant).variant,
            offload=preset.offload,
            loras=self._weighted_loras,
            vae=self.files.vae,
            negative=preset.negative,
        )
        return Model(
            audio_encoder=self.audio_encoder,
            device=self.compute.device.type,
            dtype=self.compute.dtype_name,
            adapter_sha256=NO_ADAPTER,
            sampling=_pipeline_sampling(painter.config, preset),
            revision=revision_of(base),
            loras=self._lora_texts,
            paint_batches=painter.paint_batches,
            words=words,
        )

    def _load_diffusion(self, emit: Emit) -> Model:
        from covergen.diffusion.base_config import mark_of
        from covergen.diffusion.painter import load_painter
        from covergen.diffusion.sampler import paint_batches

        preset, base = self.options.preset, self.files.base
        words = None if self.files.adapter else self._load_words()
        painter = load_painter(
            base,
            self.files.adapter,
            d_audio=self.audio_encoder.dimension,
            device=self.compute.device,
            dtype=self.compute.dtype,
            styles=self._styles,
            negative=preset.negative,
            loras=self._weighted_loras,
            vae=self.files.vae,
        )
        if painter.unknown_words:
            emit(UnknownWords(model=preset.name, words=painter.unknown_words))
        if painter.adapter and painter.adapter.base_mark not in ("", mark_of(painter.config)):
            emit(AdapterMismatch(name=preset.name, part="base"))
        if painter.adapter and painter.adapter.clap_mark not in ("", self._clap_mark):
            emit(AdapterMismatch(name=preset.name, part="clap"))

        def note_failure(why: str) -> None:
            emit(CompilingFailed(device=str(painter.device), why=why))

        return Model(
            audio_encoder=self.audio_encoder,
            device=self.compute.device.type,
            dtype=self.compute.dtype_name,
            adapter_sha256=painter.adapter.sha256 if painter.adapter else NO_ADAPTER,
            sampling=preset.sampling,
            revision=revision_of(base),
            loras=self._lora_texts,
            paint_batches=partial(paint_batches, painter, on_uncompiled=note_failure),
            words=words,
        )

    @property
    def _clap_mark(self) -> str:
        # Not that of `audio_encoder`, which depends on the padding of short audio as well.
        return read_clap_folder(self.files.clap).fingerprint

    def _load_words(self) -> WordFinder:
        preset, clap = self.options.preset, self.files.clap
        return load_words(preset, clap, self.audio_encoder, device=self.compute.device)

    def _warn_if_distilled(self, sampling: Sampling, emit: Emit) -> None:
        """Warn of sampling settings that ruin the pictures of a distilled base."""
        from covergen.diffusion.pipeline_config import is_distilled

        base = self.options.preset.base
        fits = sampling.steps <= _DISTILLED_STEPS and sampling.guidance <= _DISTILLED_GUIDANCE
        if not fits and is_distilled(self.files.base, base):
            emit(DistilledBase(base=base, sampling=sampling))

    @property
    def _styles(self) -> list[str]:
        """The styles of the model, without "" (no style)."""
        return [style for style in self.options.preset.styles if style]

    @property
    def _weighted_loras(self) -> list[tuple[Path, float]]:
        loras = zip(self.files.loras, self.options.preset.loras, strict=True)
        return [(file, lora.weight) for file, lora in loras]

    @property
    def _lora_texts(self) -> str:
        return lora_texts(self.options.preset.loras, [file_hash(f) for f in self.files.loras])


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


def _pipeline_sampling(config: PipelineConfig, preset: Preset) -> Sampling:
    """A preset's sampling, with a pipeline's own settings at the preset's quality.

    Raises UsageError for a given setting that the pipeline does not have.
    """
    sampling = config.sampling(preset.sampling, preset.given)
    # A default of so few steps is that of a distilled model, which only works with these.
    if "steps" in preset.given or sampling.steps <= _DISTILLED_STEPS:
        return sampling
    return replace(sampling, steps=steps_at(sampling.steps, preset.quality))
