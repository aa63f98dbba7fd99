"""Train the base: a text-to-image model on the painter's captioned pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from covergen.models.presets import own_presets
from covergen.poster.painter.caption import VOCABULARY, mirror
from covergen.starter.recipe.captions import make_tokenizer, shorten
from covergen.starter.recipe.dataset import load_captions
from covergen.starter.recipe.denoising import denoising_loss, paint_latents, save_grid
from covergen.starter.recipe.models import (
    load_exported,
    make_scheduler,
    make_text_encoder,
    make_unet,
)
from covergen.starter.recipe.patches import load_basis, load_latents
from covergen.starter.recipe.training_loop import Stage, load_average, train

if TYPE_CHECKING:
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from numpy.typing import NDArray

    from covergen.starter.recipe.run_folder import RunFolder
    from covergen.starter.recipe.settings import BaseSettings


_SHOWN = 24  # validation pictures in the sheet, above those painted from their captions


class TextToImage(nn.Module):
    """The UNet and its text encoder, trained together."""

    def __init__(self, settings: BaseSettings, latent_channels: int) -> None:
        super().__init__()
        self.tokenizer = make_tokenizer((*VOCABULARY, ","))
        self.text_encoder = make_text_encoder(settings, self.tokenizer)
        self.unet = make_unet(settings, latent_channels)

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """Encode captions to tokens, (B, T, d)."""
        ids = self.tokenizer(
            list(captions), padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        hidden: Tensor = self.text_encoder(ids.to(self.unet.device))[0]
        return hidden


def train_base(run: RunFolder) -> bool:
    """Train the base. Return whether training is complete."""
    settings = run.recipe.base
    seed = settings.optimization.seed
    torch.manual_seed(seed)
    model = TextToImage(settings, run.recipe.latents.channels)
    if run.initial:
        load_exported(model.unet, run.initial / "base" / "unet")
        load_exported(model.text_encoder, run.initial / "base" / "text_encoder")
    model.to(run.device)
    scheduler = make_scheduler()
    latents, held_out = load_latents(run), load_latents(run, "validation")[:, 0]
    captions, held_out_captions = load_captions(run, "train"), load_captions(run, "validation")
    basis = load_basis(run)

    choose = _chooser(captions[: len(latents)], settings)

    def losses(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([seed, step])
        chosen = choose(rng, step)
        mirrored = rng.integers(2, size=len(chosen))
        seen = [
            mirror(captions[i]) if m else captions[i] for i, m in zip(chosen, mirrored, strict=True)
        ]
        clean = torch.from_numpy(latents[chosen, mirrored])
        # On a CPU, torch's fused attention takes several times as long for so few positions.
        plain = run.device.type == "cpu"
        with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
            tokens = model.tokens([shorten(caption, settings, rng) for caption in seen])
            return {"loss": denoising_loss(model.unet, scheduler, clean, tokens).mean()}

    @torch.inference_mode()
    def evaluate() -> dict[str, float]:
        tokens = torch.cat(
            [
                model.tokens(held_out_captions[k : k + 64])
                for k in range(0, len(held_out_captions), 64)
            ]
        )
        painted = paint_latents(
            model.unet,
            scheduler,
            tokens[:_SHOWN],
            model.tokens([""]),
            guidance=3.0,
            steps=16,
            seed=0,
        )
        rows = np.concatenate([held_out[:_SHOWN].astype(np.float32), painted.cpu().numpy()])
        save_grid(stage.folder / "sheet.png", basis.decode(rows), _SHOWN // 2, side=128)
        return {"held_out": _held_out_loss(model.unet, scheduler, held_out, tokens)}

    stage = Stage(
        run=run,
        name="base",
        model=model,
        optimization=settings.optimization,
        losses=losses,
        evaluate=evaluate,
    )
    return train(stage)


def _chooser(
    captions: Sequence[str], settings: BaseSettings
) -> Callable[[np.random.Generator, int], NDArray[np.intp]]:
    """Return what draws a batch: mostly of the model's styles, while the rate falls."""
    optimization = settings.optimization
    cooling_from = optimization.steps - optimization.cooling
    favored = favor_styles(captions, own_presets()["starter"].styles, settings.styled)

    def choose(rng: np.random.Generator, step: int) -> NDArray[np.intp]:
        chances = favored if step >= cooling_from else None
        return rng.choice(len(captions), optimization.batch, replace=False, p=chances)

    return choose


def _held_out_loss(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    latents: NDArray[np.float16],
    tokens: Tensor,
) -> float:
    """Return the mean loss over evenly spaced timesteps, with fixed noise for each picture."""
    draw = torch.Generator().manual_seed(0)
    losses = []
    for start in range(0, len(latents), 64):
        clean = torch.from_numpy(latents[start : start + 64])
        noise = torch.randn(clean.shape, generator=draw).to(unet.device)
        times = torch.linspace(5, 994, len(clean), device=unet.device).long()
        part = tokens[start : start + 64]
        losses.append(denoising_loss(unet, scheduler, clean, part, times=times, noise=noise))
    return float(torch.cat(losses).mean())


def favor_styles(
    captions: Sequence[str], styles: Sequence[str], share: float
) -> NDArray[np.float64]:
    """Return the chance of each picture to be chosen: `share` for those in the styles.

    Pictures of each style are chosen equally often, all others included for the rest. If there are
    none in the styles, all have the same chance.
    """
    parts = [set(caption.split(", ")) for caption in captions]
    matches = np.array([[set(style.split(", ")) <= p for p in parts] for style in styles], float)
    matches = matches[matches.any(axis=1)]
    if not len(matches):
        return np.full(len(captions), 1 / len(captions))
    chances: NDArray[np.float64] = share * (matches / matches.sum(axis=1, keepdims=True)).mean(
        axis=0
    ) + (1 - share) / len(captions)
    return chances


def load_base_average(run: RunFolder) -> TextToImage:
    """Load the averaged base, frozen."""
    model = TextToImage(run.recipe.base, run.recipe.latents.channels)
    load_average(run.folder / "base", model)
    return model.to(run.device).eval().requires_grad_(False)
