"""Compile the models for long runs on a GPU."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from covergen.compute.memory import is_out_of_memory
from covergen.core.cover import PaintRequest, Sampling
from covergen.diffusion.batches import Pictures
from covergen.diffusion.feature_reuse import shallow_copy
from covergen.diffusion.painter import Painter

_COMPILED_AFTER = 200  # pictures: the length of a run is unknown, and compiling takes time


@dataclass(kw_only=True)
class CompileLater:
    """Paints the batches of a run, with compiled models once `after` pictures are painted.

    These are compiled for the size of a full batch; smaller ones are painted by the models as they
    are, and all are if compiling fails: then `on_failure` is called with the reason.
    """

    painter: Painter
    paint: Callable[[Painter, Sequence[PaintRequest]], Pictures]
    on_failure: Callable[[str], None]
    after: float = _COMPILED_AFTER
    painted: int = field(default=0, init=False)
    full_size: int = field(default=0, init=False)
    compiled: Painter | None = field(default=None, init=False)

    def __call__(self, batch: Sequence[PaintRequest]) -> Pictures:
        """Paint a batch: (B, H, W, 3) uint8, sRGB."""
        self.full_size = max(self.full_size, len(batch))
        try:
            pictures = self._paint(batch)
        except RuntimeError as error:
            if is_out_of_memory(error):  # later batches will be smaller
                self.full_size, self.compiled = 0, None
            raise
        self.painted += len(batch)
        return pictures

    def _paint(self, batch: Sequence[PaintRequest]) -> Pictures:
        if self.painted < self.after or len(batch) < self.full_size:
            return self.paint(self.painter, batch)
        self.compiled = self.compiled or compile_models(self.painter)
        try:
            return self.paint(self.compiled, batch)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            self.on_failure(_reason(error))
        self.compiled, self.after = None, math.inf
        return self.paint(self.painter, batch)


def _reason(error: RuntimeError) -> str:
    """The first line of an error, without what torch.compile wraps around it."""
    inner = getattr(error, "inner_exception", error)
    return (str(inner).strip() or type(inner).__name__).splitlines()[0]


def pays_off(painter: Painter, sampling: Sampling) -> bool:
    """Whether long runs are faster with compiled models."""
    return painter.device.type == "cuda" and sampling.reuse == 1


def compile_models(painter: Painter, backend: str = "inductor") -> Painter:
    """Return a painter whose UNet and decoder are compiled when they are first used."""
    unet, vae = shallow_copy(painter.unet), painter.vae
    unet.compile(dynamic=False, backend=backend)
    if vae.dtype != torch.float16:  # what overflows is decoded again in fp32
        decoder = shallow_copy(vae.decoder)
        decoder.compile(dynamic=False, backend=backend)
        vae = shallow_copy(vae, decoder=decoder)
    return replace(painter, unet=unet, vae=vae, condition_length=_longest_condition(painter))


def _longest_condition(painter: Painter) -> int:
    """The number of tokens of the longest condition, so that all have the same shape."""
    if painter.adapter is None:
        return 0  # prompts are padded
    styles = max((tokens.shape[1] for tokens in painter.styles.values()), default=0)
    return max(painter.unconditional.shape[1], styles + painter.adapter.tokens)
