"""Stage 2: music to pictures, by a LoRA and an audio projection on the frozen base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from covergen.diffusion.adapter import create
from covergen.starter.recipe.base import TextToImage, load_base_average
from covergen.starter.recipe.denoising import denoising_loss, paint_latents, save_grid, to_pictures
from covergen.starter.recipe.embeddings import embed_split
from covergen.starter.recipe.latents import load_frozen_vae, load_latents
from covergen.starter.recipe.models import make_scheduler
from covergen.starter.recipe.stretch import Stage, load_average, train
from covergen.starter.recipe.world import load_attributes, load_captions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from covergen.starter.recipe.run import Run
    from covergen.starter.recipe.settings import AdapterSettings

__all__ = ["Adapted", "load_adapter_average", "train_adapter"]

_RIDGE = 1e-2  # of the embeddings' mean variance


class Adapted(nn.Module):
    """The frozen UNet with its LoRA, and the projection; only these two are trained."""

    def __init__(self, base: TextToImage, settings: AdapterSettings, d_audio: int) -> None:
        super().__init__()
        base.requires_grad_(False)
        self.unet = base.unet
        self.projection = create(
            base.unet,
            d_audio=d_audio,
            rank=settings.rank,
            alpha=settings.rank,
            projection="tokens",
            tokens=settings.tokens,
        )


def train_adapter(run: Run) -> bool:
    """Train the adapter; whether all steps are done."""
    settings = run.recipe.adapter
    seed = settings.optimisation.seed
    torch.manual_seed(seed)
    embeddings, latents = embed_split(run, "train"), load_latents(run)
    pairs = min(len(embeddings), len(latents))
    shown = torch.from_numpy(_shown(run)).to(run.device)
    vae = load_frozen_vae(run)
    base = load_base_average(run)
    empty = base.tokens([""])
    model = Adapted(base, settings, run.recipe.tower.dimension).to(run.device)
    captions = load_captions(run, "train")[:pairs]
    start = _caption_projection(base, embeddings[:pairs], captions, settings.tokens)
    model.projection.load_state_dict(start)
    scheduler = make_scheduler()

    def losses(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(pairs, settings.optimisation.batch, replace=False)
        excerpt = rng.integers(embeddings.shape[1], size=len(chosen))
        heard = torch.from_numpy(embeddings[chosen, excerpt]).to(run.device)
        tokens = model.projection(heard)
        tokens = tokens.repeat(1, empty.shape[1] // tokens.shape[1], 1)
        dropped = torch.from_numpy(rng.random(len(chosen)) < settings.empty).to(run.device)
        tokens = torch.where(dropped[:, None, None], empty, tokens)
        loss = denoising_loss(
            model.unet, scheduler, latents[chosen], tokens, min_snr=run.recipe.base.min_snr
        )
        return {"loss": loss}

    def judge() -> dict[str, float]:
        with torch.inference_mode():
            tokens = model.projection(shown.repeat_interleave(4, 0))
        tokens = tokens.repeat(1, empty.shape[1] // tokens.shape[1], 1)
        painted = paint_latents(
            model.unet, scheduler, tokens, empty, guidance=3.0, steps=12, seed=0
        )
        save_grid(stage.folder / "sheet.png", to_pictures(vae, painted), 8)
        return {}

    stage = Stage(
        run=run,
        name="adapter",
        model=model,
        optimisation=settings.optimisation,
        losses=losses,
        judge=judge,
    )
    return train(stage)


def load_adapter_average(run: Run) -> Adapted:
    """The base with the averaged adapter, not merged."""
    base = load_base_average(run)
    model = Adapted(base, run.recipe.adapter, run.recipe.tower.dimension)
    load_average(run.folder / "adapter", model)
    return model.eval()


@torch.no_grad()
def _caption_projection(
    base: TextToImage, embeddings: NDArray[np.float32], captions: Sequence[str], tokens: int
) -> dict[str, Tensor]:
    """The state of the projection that is the best linear guess at the caption's tokens.

    The base knows those: training has only to add what captions do not say. Family and texture
    are left out, and every other position of the encoded caption. Ridge regression.
    embeddings: (N, excerpts, D).
    """
    norm = base.text_encoder.final_layer_norm
    said = [", ".join(caption.split(", ")[1:-1]) for caption in captions]
    hidden = torch.cat([base.tokens(said[k : k + 64]) for k in range(0, len(said), 64)])
    chosen = torch.arange(1, hidden.shape[1], 2)[:tokens]
    # What LayerNorm is to give, before its own scale and shift.
    wanted = ((hidden[:, chosen] - norm.bias) / norm.weight).flatten(1).cpu()
    heard = torch.from_numpy(embeddings.mean(axis=1))
    middle, mean = heard.mean(0), wanted.mean(0)
    centred = heard - middle
    gram = centred.T @ centred
    ridge = _RIDGE * gram.trace() / len(gram) * torch.eye(len(gram))
    weight = torch.linalg.solve(gram + ridge, centred.T @ (wanted - mean)).T
    return {
        "weight": weight,
        "bias": mean - weight @ middle,
        "norm.weight": norm.weight,
        "norm.bias": norm.bias,
    }


def _shown(run: Run) -> NDArray[np.float32]:
    """(6, D): held-out tracks at the corners of arousal and valence, and two between."""
    heard = embed_split(run, "validation")[:, 0]
    known = load_attributes(run.recipe.world, "validation", len(heard))
    moods = [(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5), (0.5, 1)]
    return heard[[np.hypot(*(known[:, :2] - mood).T).argmin() for mood in moods]]
