"""Stage 1: a text-to-image model on the painter's pictures, from captions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from covergen.starter.painter import VOCABULARY
from covergen.starter.recipe.captions import make_tokenizer, shorten
from covergen.starter.recipe.denoising import denoising_loss, paint_latents, save_grid
from covergen.starter.recipe.models import make_scheduler, make_text_encoder, make_unet
from covergen.starter.recipe.patches import load_basis, load_latents
from covergen.starter.recipe.stretch import Stage, load_average, train
from covergen.starter.recipe.world import load_captions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from covergen.starter.recipe.run import Run
    from covergen.starter.recipe.settings import BaseSettings

__all__ = ["TextToImage", "load_base_average", "train_base"]

_SHOWN = (
    "cool, muted, dark, sparse",
    "warm, vivid, dim, bold",
    "warm, muted, pale, open",
    "warm, vivid, bright, bold",
    "swiss geometry, warm, vivid, bright, bold",
    "horizon landscape, cool, muted, dark, sparse",
)


class TextToImage(nn.Module):
    """The UNet with its text encoder, trained together."""

    def __init__(self, settings: BaseSettings, latent_channels: int) -> None:
        super().__init__()
        self.tokenizer = make_tokenizer((*VOCABULARY, ","))
        self.text_encoder = make_text_encoder(settings, self.tokenizer)
        self.unet = make_unet(settings, latent_channels)

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(B, T, d)."""
        ids = self.tokenizer(
            list(captions), padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        hidden: Tensor = self.text_encoder(ids.to(self.unet.device))[0]
        return hidden


def train_base(run: Run) -> bool:
    """Train the base; whether all steps are done."""
    settings = run.recipe.base
    seed = settings.optimisation.seed
    torch.manual_seed(seed)
    model = TextToImage(settings, run.recipe.latents.channels).to(run.device)
    scheduler = make_scheduler()
    latents = load_latents(run)
    captions = load_captions(run, "train")
    basis = load_basis(run)

    def losses(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(len(latents), settings.optimisation.batch, replace=False)
        tokens = model.tokens([shorten(captions[i], settings, rng) for i in chosen])
        mirrored = rng.integers(2, size=len(chosen))
        clean = torch.from_numpy(latents[chosen, mirrored])
        loss = denoising_loss(model.unet, scheduler, clean, tokens, gamma=settings.min_snr)
        return {"loss": loss}

    def judge() -> dict[str, float]:
        with torch.inference_mode():
            shown = [caption for caption in _SHOWN for _ in range(4)]
            tokens, empty = model.tokens(shown), model.tokens([""])
        painted = paint_latents(
            model.unet, scheduler, tokens, empty, guidance=3.0, steps=12, seed=0
        )
        save_grid(stage.folder / "sheet.png", basis.decode(painted.cpu().numpy()), 8)
        return {}

    stage = Stage(
        run=run,
        name="base",
        model=model,
        optimisation=settings.optimisation,
        losses=losses,
        judge=judge,
    )
    return train(stage)


def load_base_average(run: Run) -> TextToImage:
    """The averaged base, frozen."""
    model = TextToImage(run.recipe.base, run.recipe.latents.channels)
    load_average(run.folder / "base", model)
    return model.to(run.device).eval().requires_grad_(False)
