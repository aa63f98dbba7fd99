"""Compile the models for long runs on a GPU."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from covergen.compute.memory import is_out_of_memory
from covergen.core.cover import PaintRequest, Sampling
from covergen.diffusion.batches import Pictures
from covergen.diffusion.feature_reuse import shallow_copy
from covergen.diffusion.painter import Painter

_COMPILED_AFTER = 200  # pictures: compiling takes about a minute, and a run's length is unknown


@dataclass(kw_only=True)
class CompileLater:
    """Paints a run's batches, after `after` pictures with compiled models.

    These are compiled for one batch size, so smaller batches are padded. If compiling fails,
    the models are used as they are.
    """

    painter: Painter
    paint: Callable[[Painter, Sequence[PaintRequest]], Pictures]
    after: float = _COMPILED_AFTER
    painted: int = field(default=0, init=False)
    batch_size: int = field(default=0, init=False)
    compiled: Painter | None = field(default=None, init=False)

    def __call__(self, batch: Sequence[PaintRequest]) -> Pictures:
        """Paint a batch: (B, H, W, 3) uint8, sRGB."""
        if self.painted >= self.after:
            pictures = self._paint_compiled(batch)
        else:
            self.batch_size = len(batch)
            pictures = self.paint(self.painter, batch)
        self.painted += len(batch)
        return pictures

    def _paint_compiled(self, batch: Sequence[PaintRequest]) -> Pictures:
        self.compiled = self.compiled or compile_models(self.painter)
        padding = [batch[-1]] * (self.batch_size - len(batch))
        try:
            return self.paint(self.compiled, [*batch, *padding])[: len(batch)]
        except RuntimeError as error:
            if is_out_of_memory(error):
                self.batch_size = max(1, len(batch) // 2)  # the size that is tried next
                raise
        self.compiled, self.after = None, math.inf
        return self.paint(self.painter, batch)


def pays_off(painter: Painter, sampling: Sampling) -> bool:
    """Whether long runs are faster with compiled models."""
    return painter.device.type == "cuda" and sampling.reuse == 1


def compile_models(painter: Painter, backend: str = "inductor") -> Painter:
    """Return a painter whose UNet and decoder are compiled when they are first used."""
    unet, decoder = shallow_copy(painter.unet), shallow_copy(painter.vae.decoder)
    for module in (unet, decoder):
        module.compile(dynamic=False, backend=backend)
    vae = shallow_copy(painter.vae, decoder=decoder)
    return replace(painter, unet=unet, vae=vae, condition_length=_longest_condition(painter))


def _longest_condition(painter: Painter) -> int:
    """The number of tokens of the longest condition, so that all have the same shape."""
    if painter.adapter is None:
        return 0  # prompts are padded
    styles = max((tokens.shape[1] for tokens in painter.styles.values()), default=0)
    return max(painter.unconditional.shape[1], styles + painter.adapter.tokens)
