"""Paint with any text-to-image pipeline of diffusers, from prompts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DiffusionPipeline

from covergen.core.cover import DEFAULT_SCHEDULER, PaintRequest, Sampling
from covergen.core.errors import ModelError, UsageError
from covergen.diffusion.batch_size import pipeline_batch_size
from covergen.diffusion.batches import Pictures, in_batches, not_finite
from covergen.diffusion.pipeline_config import PipelineConfig
from covergen.diffusion.quiet import quiet
from covergen.diffusion.schedulers import make_scheduler

_PICTURE_SIZE = 1024  # pixels, of pipelines that do not say


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePainter:
    """A loaded pipeline.

    `name` is that of its model, for errors. `negative` is the negative prompt; `dtype` is that of
    the models.
    """

    name: str
    config: PipelineConfig
    pipeline: DiffusionPipeline
    negative: str
    device: torch.device
    dtype: torch.dtype

    def paint_batches(
        self,
        requests: Iterable[PaintRequest],
        sampling: Sampling,
        *,
        batch_size: int | None,
        check_interrupted: Callable[[], None],
        on_step: Callable[[int, float], None] = lambda *_: None,
    ) -> Iterator[Pictures]:
        """Paint pictures in the order of their requests, as diffusion.sampler.paint_batches does.

        Raises ModelError if not even one picture fits in memory, the output is not finite or the
        pipeline refuses its input, and UsageError for invalid sampling settings.
        """
        self._set_scheduler(sampling)
        size = batch_size or pipeline_batch_size(self._pixels, device=self.device, dtype=self.dtype)

        def paint_batch(batch: Sequence[PaintRequest]) -> Pictures:
            return self._paint_batch(batch, sampling, check_interrupted, on_step)

        yield from in_batches(requests, size, paint_batch, device=self.device)

    def _paint_batch(
        self,
        batch: Sequence[PaintRequest],
        sampling: Sampling,
        check_interrupted: Callable[[], None],
        on_step: Callable[[int, float], None],
    ) -> Pictures:
        def after_step(step: int) -> None:
            on_step(len(batch), min(1.0, (step + 1) / (sampling.steps + 1)))  # decoding is a step
            check_interrupted()

        check_interrupted()
        options = {self.config.steps: sampling.steps, self.config.guidance: sampling.guidance}
        options.pop("", None)
        with quiet(), self._errors():
            images = self.pipeline(
                prompt=[request.prompt or request.style for request in batch],
                # Noise is drawn on the CPU, so that it is the same on every device.
                generator=[torch.Generator().manual_seed(request.seed) for request in batch],
                output_type="np",
                **options,
                **self._negatives(len(batch)),
                **self._callback(after_step),
            ).images
        pixels = np.asarray(images)
        if not np.isfinite(pixels).all():
            raise not_finite(self.dtype)
        levels: Pictures = (pixels * 255).round().astype(np.uint8)
        return levels

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate what diffusers raises for settings and inputs that do not go together."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The model {self.name!r} cannot paint: {self.config.name} reports: {error}",
                hint="Use another --scheduler or other --steps, or leave them out. If that does not"
                " help, the base may need another version of diffusers.",
            ) from error

    def _negatives(self, count: int) -> dict[str, list[str]]:
        negative = self.negative
        if self.config.guidance == "true_cfg_scale" and "negative_prompt" in self.config.parameters:
            negative = negative or " "  # such a pipeline guides only if there is one
        return {"negative_prompt": [negative] * count} if negative else {}

    def _callback(self, after_step: Callable[[int], None]) -> dict[str, object]:
        def on_step_end(_pipeline: object, step: int, *_: object) -> dict[str, object]:
            after_step(step)
            return {}

        def callback(step: int, *_: object) -> None:
            after_step(step)

        if "callback_on_step_end" in self.config.parameters:
            return {"callback_on_step_end": on_step_end}
        if "callback" in self.config.parameters:  # the older interface, as of PixArt
            return {"callback": callback, "callback_steps": 1}
        return {}

    def _set_scheduler(self, sampling: Sampling) -> None:
        if sampling.scheduler == DEFAULT_SCHEDULER:
            return
        config = self.pipeline.scheduler.config
        if "beta_schedule" not in config or config.get("use_flow_sigmas"):
            raise UsageError(
                f"The scheduler {sampling.scheduler!r} does not apply to this model:"
                f" {self.config.name} matches a flow.",
                hint="Leave out the scheduler.",
            )
        self.pipeline.scheduler = make_scheduler(sampling.scheduler, config, steps=sampling.steps)

    @property
    def _pixels(self) -> int:
        """The number of pixels of a picture."""
        size = getattr(self.pipeline, "default_sample_size", None)
        factor = getattr(self.pipeline, "vae_scale_factor", None)
        if isinstance(size, int) and isinstance(factor, int):
            return (size * factor) ** 2
        return _PICTURE_SIZE**2
