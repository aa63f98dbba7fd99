"""The audio tower: excerpts to embeddings in which the world's attributes can be read."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from covergen.poster.attributes import Attributes
from covergen.starter.recipe.models import make_tower
from covergen.starter.recipe.stretch import Stage, train
from covergen.starter.recipe.world import load_attributes, load_shards

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.recipe.run import Run
    from covergen.starter.recipe.settings import TowerSettings

__all__ = ["ATTRIBUTES", "Listener", "train_tower"]

ATTRIBUTES = len(fields(Attributes))
_SILENCE_DB = -100.0


class Listener(nn.Module):
    """The tower and, for its training only, a linear head that reads attributes from it."""

    def __init__(self, settings: TowerSettings, attributes: int) -> None:
        super().__init__()
        self.tower = make_tower(settings)
        self.head = nn.Linear(settings.dimension, attributes)
        self.scale = settings.dimension**0.5

    @torch.no_grad()
    def centre(self, log_mel: Tensor) -> None:
        """Let embeddings begin spread over the sphere: their mean over (B, T, M) becomes 0.

        A new tower's outputs differ by a few per cent, which unit length hides nearly all of.
        """
        first, second = self.tower.audio_projection.linear1, self.tower.audio_projection.linear2
        pooled = self.tower.audio_model(log_mel[:, None]).pooler_output
        scale = pooled.std(0).mean()
        first.weight /= scale
        first.bias -= nn.functional.linear(pooled, first.weight).mean(0)
        second.bias -= self.tower.audio_projection(pooled).mean(0)

    @torch.no_grad()
    def project(self, matrix: Tensor) -> None:
        """Multiply every later embedding by a (D, D) matrix, before it is normalised."""
        last = self.tower.audio_projection.linear2
        last.weight.copy_(matrix @ last.weight)
        last.bias.copy_(matrix @ last.bias)

    def embed(self, log_mel: Tensor) -> Tensor:
        """(B, T, M) decibels to (B, D) of unit length."""
        return nn.functional.normalize(self.tower(log_mel[:, None]).audio_embeds, dim=-1)

    def read(self, embedding: Tensor) -> Tensor:
        """(B, D) to (B, attributes), standardised."""
        standardised: Tensor = self.head(embedding * self.scale)
        return standardised


def train_tower(run: Run) -> bool:
    """Train the tower; whether all steps are done."""
    settings, world = run.recipe.tower, run.recipe.world
    torch.manual_seed(settings.optimisation.seed)
    tracks = np.concatenate(load_shards(run, "train", "tracks"))
    held_out = np.concatenate(load_shards(run, "validation", "tracks"))
    known = load_attributes(world, "train", len(tracks))
    mean, deviation = known.mean(0), known.std(0)
    wanted = torch.from_numpy((known - mean) / deviation).to(run.device)
    hidden = load_attributes(world, "validation", len(held_out))
    judged = torch.from_numpy((hidden - mean) / deviation)
    listener = Listener(settings, known.shape[1]).to(run.device)
    first = tracks[: settings.centred, 0].astype(np.float32)
    listener.centre(torch.from_numpy(first).to(run.device))
    even = torch.ones(wanted.shape[1], device=run.device)
    weighed = torch.cat([torch.tensor(settings.moods, device=run.device), even[2:]])

    def losses(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([settings.optimisation.seed, step])
        chosen = rng.choice(len(tracks), settings.optimisation.batch, replace=False)
        views = [_view(tracks[chosen], rng) for _ in range(2)]
        embedding = listener.embed(torch.from_numpy(np.concatenate(views)).to(run.device))
        target = wanted[chosen].repeat(2, 1)
        errors = (listener.read(embedding) - target).square().mean(0)
        weight = weighed if step >= settings.weighed_from else even
        reading = (errors * weight).sum() / weight.sum()
        first, second = embedding.chunk(2)
        apart = _contrast(first, second, settings.temperature)
        together = (1 - (first * second).sum(-1)).mean()
        return {
            "loss": reading + settings.contrast * apart + settings.together * together,
            "reading": reading,
            "contrast": apart,
            "cosine": 1 - together,
        }

    def judge() -> dict[str, float]:
        with torch.inference_mode():
            excerpts = torch.from_numpy(held_out.astype(np.float32))
            views = [_embed(listener, excerpts[:, k].to(run.device)) for k in range(2)]
            error = (listener.read(views[0].to(run.device)).cpu() - judged).square().mean(0)
        r2 = 1 - error / judged.var(0, unbiased=False)
        cosines = views[0] @ views[1].T
        same = float(cosines.diagonal().mean())
        others = float(
            (cosines.sum() - cosines.diagonal().sum()) / (cosines.numel() - len(cosines))
        )
        return {
            "r2_arousal": float(r2[0]),
            "r2_valence": float(r2[1]),
            "r2_mean": float(r2.mean()),
            "cosine_same": same,
            "cosine_least": float(cosines.diagonal().min()),
            "cosine_others": others,
        }

    stage = Stage(
        run=run,
        name="tower",
        model=listener,
        optimisation=settings.optimisation,
        losses=losses,
        judge=judge,
    )
    return train(stage)


def _embed(listener: Listener, log_mel: Tensor) -> Tensor:
    """(N, T, M) to (N, D), a few at a time, on the CPU."""
    return torch.cat([listener.embed(part) for part in torch.split(log_mel, 16)]).cpu()


def _view(tracks: NDArray[np.float16], rng: np.random.Generator) -> NDArray[np.float32]:
    """(B, excerpts, T, M) to (B, T, M): one excerpt each, louder or softer, begun elsewhere.

    A stretch of time and a range of pitch are missing, as in SpecAugment (Park et al. 2019).
    """
    views = []
    for excerpts in tracks:
        view = excerpts[int(rng.integers(len(excerpts)))].astype(np.float32)
        view = np.roll(view, int(rng.integers(len(view))), axis=0)
        view = view + np.float32(rng.uniform(-8, 6))
        view += np.linspace(-1, 1, view.shape[1], dtype=np.float32) * np.float32(rng.uniform(-4, 4))
        for axis, longest in ((0, 120), (1, 8)):
            length = int(rng.integers(longest))
            first = int(rng.integers(view.shape[axis] - length))
            gap = [slice(None), slice(None)]
            gap[axis] = slice(first, first + length)
            view[tuple(gap)] = _SILENCE_DB if axis else view.mean()
        views.append(np.maximum(view, _SILENCE_DB))
    return np.stack(views)


def _contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Each excerpt finds its track's other one in the batch (van den Oord et al. 2018)."""
    similar = first @ second.T / temperature
    target = torch.arange(len(first), device=first.device)
    return 0.5 * (
        nn.functional.cross_entropy(similar, target)
        + nn.functional.cross_entropy(similar.T, target)
    )
