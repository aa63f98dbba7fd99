"""Paint pictures from embeddings: batched latent diffusion with classifier-free guidance."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional

from covergen.core.cover import PaintRequest, Sampling
from covergen.diffusion.batch_size import automatic_batch_size
from covergen.diffusion.batches import Pictures, in_batches, not_finite
from covergen.diffusion.compiled import CompileLater, pays_off
from covergen.diffusion.feature_reuse import ReusingUNet
from covergen.diffusion.load_base import Vae
from covergen.diffusion.painter import Painter
from covergen.diffusion.projection import align
from covergen.diffusion.quiet import quiet
from covergen.diffusion.schedulers import draws_noise, make_scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condition:
    """The UNet's condition: (B, T, d), or if `guided` (2B, T, d) with the unconditional half first.

    `mask`: (B, T) or (2B, T) bool, or None if every position holds a token.
    """

    tokens: Tensor
    mask: Tensor | None
    guided: bool

    def unguided(self) -> "_Condition":
        """The conditional half."""
        half = len(self.tokens) // 2
        mask = None if self.mask is None else self.mask[half:]
        return _Condition(tokens=self.tokens[half:], mask=mask, guided=False)


def paint(
    painter: Painter,
    requests: Iterable[PaintRequest],
    sampling: Sampling,
    *,
    batch_size: int | None,
    check_interrupted: Callable[[], None],
) -> Iterator[NDArray[np.uint8]]:
    """Like `paint_batches`, but yield pictures one at a time: (H, W, 3) uint8, sRGB."""
    batches = paint_batches(
        painter, requests, sampling, batch_size=batch_size, check_interrupted=check_interrupted
    )
    for pictures in batches:
        yield from pictures


def paint_batches(
    painter: Painter,
    requests: Iterable[PaintRequest],
    sampling: Sampling,
    *,
    batch_size: int | None,
    check_interrupted: Callable[[], None],
    on_step: Callable[[int, float], None] = lambda *_: None,
    on_uncompiled: Callable[[str], None] = lambda _: None,
) -> Iterator[NDArray[np.uint8]]:
    """Paint pictures in the order of their requests and yield each batch: (B, H, W, 3) uint8, sRGB.

    At most one batch of requests is read ahead; a picture does not depend on the rest of its batch.
    If `batch_size` is None, it is chosen from the free memory. A batch that runs out of memory is
    halved, as are later ones. `check_interrupted` is called before each step, `on_step` after it
    with the batch size and the share of the batch's work that is done, and `on_uncompiled` with
    the reason if compiled models fail, so that the rest is painted without. Raises ModelError if
    not even one picture fits in memory or the model's output is not finite, and UsageError for
    invalid sampling settings.
    """
    size = batch_size or automatic_batch_size(
        painter.config, device=painter.device, dtype=painter.dtype
    )

    def paint_with(painter: Painter, batch: Sequence[PaintRequest]) -> Pictures:
        return _paint_batch(painter, batch, sampling, check_interrupted, on_step)

    paint_batch = (
        CompileLater(painter=painter, paint=paint_with, on_failure=on_uncompiled)
        if pays_off(painter, sampling)
        else partial(paint_with, painter)
    )
    yield from in_batches(requests, size, paint_batch, device=painter.device)


@torch.inference_mode()
def _paint_batch(
    painter: Painter,
    batch: Sequence[PaintRequest],
    sampling: Sampling,
    check_interrupted: Callable[[], None],
    on_step: Callable[[int, float], None],
) -> NDArray[np.uint8]:
    """Paint (B, H, W, 3) uint8. Latents stay in float32, whatever the UNet's dtype."""
    scheduler = make_scheduler(sampling.scheduler, painter.config.scheduler, steps=sampling.steps)
    # Noise is drawn on the CPU, so that it is the same on every device.
    generators = [Generator().manual_seed(request.seed) for request in batch]
    noise = [torch.randn(painter.config.latent_shape, generator=g) for g in generators]
    latents = torch.stack(noise).to(painter.device) * scheduler.init_noise_sigma
    guided = _make_condition(painter, batch)
    unguided = guided.unguided()
    fresh_noise = {"generator": generators} if draws_noise(sampling.scheduler) else {}
    if sampling.reuse > 1:
        painter = replace(painter, unet=ReusingUNet(painter.unet, sampling.reuse))
    # The scheduler needs its timesteps on the CPU, and the UNet need not wait for a copy.
    copies = scheduler.timesteps.to(painter.device)
    for number, (timestep, copied) in enumerate(zip(scheduler.timesteps, copies, strict=True)):
        check_interrupted()
        scaled = scheduler.scale_model_input(latents, timestep)
        condition = guided if guides(sampling, number / len(scheduler.timesteps)) else unguided
        prediction = _predict(painter, scaled, copied, condition, sampling.guidance)
        latents = scheduler.step(prediction, timestep, latents, **fresh_noise, return_dict=False)[0]
        on_step(
            len(batch), (number + 1) / (len(scheduler.timesteps) + 1)
        )  # decoding counts as a step
    check_interrupted()
    return _decode(painter, latents)


def guides(sampling: Sampling, share: float) -> bool:
    """Whether to guide the step after this share (Kynkäänniemi et al. 2024, arXiv 2404.07724)."""
    return sampling.guidance > 1 and sampling.guided_from <= share < sampling.guided_until


def _make_condition(painter: Painter, batch: Sequence[PaintRequest]) -> _Condition:
    unconditional = painter.unconditional.expand(len(batch), -1, -1)
    conditional = _conditional(painter, batch)
    lengths = (sequence.shape[1] for sequence in (unconditional, *conditional))
    length = max(painter.condition_length, *lengths)
    aligned = [align(sequence, length) for sequence in (unconditional, *conditional)]
    tokens = torch.cat([sequence for sequence, _ in aligned]).to(painter.dtype)
    mask = torch.cat([mask for _, mask in aligned])
    unneeded = not painter.condition_length and bool(mask.all())
    return _Condition(tokens=tokens, mask=None if unneeded else mask, guided=True)


def _conditional(painter: Painter, batch: Sequence[PaintRequest]) -> list[Tensor]:
    """The tokens of each request, (1, N, d): its prompt's, or its style's and the audio's."""
    if painter.projection is None:
        return [painter.styles[request.prompt] for request in batch]
    vectors = torch.from_numpy(np.stack([request.vector for request in batch])).to(painter.device)
    audio = painter.projection(vectors)
    # The style's tokens come before the audio's; styles differ in length.
    return [
        torch.cat([painter.styles[request.style], tokens[None]], dim=1)
        if request.style
        else tokens[None]
        for request, tokens in zip(batch, audio, strict=True)
    ]


def _predict(
    painter: Painter, latents: Tensor, timestep: Tensor, condition: _Condition, guidance: float
) -> Tensor:
    inputs = torch.cat([latents, latents]) if condition.guided else latents
    output: Tensor = painter.unet(
        inputs.to(painter.dtype),
        timestep,
        encoder_hidden_states=condition.tokens,
        encoder_attention_mask=condition.mask,
        return_dict=False,
    )[0].float()
    if not condition.guided:
        return output
    uncond, cond = output.chunk(2)
    return uncond + guidance * (cond - uncond)  # Ho & Salimans 2022, arXiv 2207.12598, eq. 6


def _decode(painter: Painter, latents: Tensor) -> NDArray[np.uint8]:
    """Decode latents (B, C, h, w) to (B, H, W, 3) uint8."""
    config = painter.config.vae
    latents = latents / config["scaling_factor"] + (config["shift_factor"] or 0.0)
    parts = torch.split(latents, _decoded_at_once(painter.device))
    pixels = torch.cat([_decode_part(painter.vae, part) for part in parts])
    if not pixels.isfinite().all():
        raise not_finite(painter.dtype)
    levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    array: NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


def _decoded_at_once(device: torch.device) -> int:
    """The feature maps of several pictures do not fit into a CPU's cache."""
    return 1 if device.type == "cpu" else 4


def _decode_part(vae: Vae, latents: Tensor) -> Tensor:
    """Decode (B, C, h, w) to (B, 3, H, W); what overflows in fp16 is decoded again in fp32."""
    pixels = _pixels(vae, latents)
    if vae.dtype != torch.float16:
        return pixels
    overflown = ~pixels.isfinite().flatten(1).all(dim=1)
    if overflown.any():
        with quiet():  # diffusers warns about every conversion
            vae.to(torch.float32)
            try:
                pixels[overflown] = _pixels(vae, latents[overflown])
            finally:
                vae.to(torch.float16)  # a picture must not affect later ones
    return pixels


def _pixels(vae: Vae, latents: Tensor) -> Tensor:
    # A VAE that leaves traces along borders asks for a margin: latents that are cut off again.
    margin = vae.config.get("decoding_margin", 0)
    padded = functional.pad(latents.to(vae.dtype), (margin,) * 4, mode="replicate")
    pixels: Tensor = vae.decode(padded, return_dict=False)[0].float()
    cut = margin * pixels.shape[-1] // padded.shape[-1]
    return pixels[..., cut : pixels.shape[-2] - cut, cut : pixels.shape[-1] - cut]
