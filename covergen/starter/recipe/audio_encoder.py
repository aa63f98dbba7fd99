"""Train the audio encoder: its embeddings must predict the music attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from covergen.poster.attributes import Attributes
from covergen.starter.recipe.dataset import load_attributes, load_shards
from covergen.starter.recipe.models import load_exported, make_audio_encoder
from covergen.starter.recipe.training_loop import Stage, train

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.recipe.run_folder import RunFolder
    from covergen.starter.recipe.settings import AudioEncoderSettings


ATTRIBUTES = len(fields(Attributes))
_SILENCE_DB = -100.0


class AudioEncoderWithProbe(nn.Module):
    """The audio encoder and, for training only, a linear head that predicts attributes."""

    def __init__(self, settings: AudioEncoderSettings, attributes: int) -> None:
        super().__init__()
        self.audio_encoder = make_audio_encoder(settings)
        self.head = nn.Linear(settings.dimension, attributes)
        self.scale = settings.dimension**0.5

    @torch.no_grad()
    def center(self, log_mel: Tensor) -> None:
        """Initialize the projection so that the embeddings of (B, T, M) decibels have mean 0.

        An untrained encoder's outputs differ by only a few percent, so that after normalization
        all embeddings would be nearly equal.
        """
        first, second = (
            self.audio_encoder.audio_projection.linear1,
            self.audio_encoder.audio_projection.linear2,
        )
        pooled = self.audio_encoder.audio_model(log_mel[:, None]).pooler_output
        scale = pooled.std(0).mean()
        first.weight /= scale
        first.bias -= nn.functional.linear(pooled, first.weight).mean(0)
        second.bias -= self.audio_encoder.audio_projection(pooled).mean(0)

    @torch.no_grad()
    def project(self, matrix: Tensor) -> None:
        """Multiply embeddings by a (D, D) matrix before normalization."""
        last = self.audio_encoder.audio_projection.linear2
        last.weight.copy_(matrix @ last.weight)
        last.bias.copy_(matrix @ last.bias)

    def embed(self, log_mel: Tensor) -> Tensor:
        """Embed (B, T, M) decibels to (B, D), unit L2 norm."""
        return nn.functional.normalize(self.audio_encoder(log_mel[:, None]).audio_embeds, dim=-1)

    def read(self, embedding: Tensor) -> Tensor:
        """Predict standardized attributes, (B, attributes), from embeddings, (B, D)."""
        standardized: Tensor = self.head(embedding * self.scale)
        return standardized


def train_audio_encoder(run: RunFolder) -> bool:
    """Train the audio encoder. Return whether training is complete."""
    settings, dataset = run.recipe.audio_encoder, run.recipe.dataset
    torch.manual_seed(settings.optimization.seed)
    shards = load_shards(run, "train", "tracks")
    held_out = np.concatenate(load_shards(run, "validation", "tracks"))
    attributes = load_attributes(dataset, "train", sum(map(len, shards)))
    mean, deviation = attributes.mean(0), attributes.std(0)
    targets = torch.from_numpy((attributes - mean) / deviation).to(run.device)
    held_out_attributes = load_attributes(dataset, "validation", len(held_out))
    held_out_targets = torch.from_numpy((held_out_attributes - mean) / deviation)
    encoder = AudioEncoderWithProbe(settings, attributes.shape[1]).to(run.device)
    if run.initial:
        load_exported(encoder.audio_encoder, run.initial / "clap")
    else:
        first = shards[0][: settings.centered, 0].astype(np.float32)
        encoder.center(torch.from_numpy(first).to(run.device))
    weights = torch.ones(targets.shape[1], device=run.device)
    weights[:2] = torch.tensor(settings.moods)

    def losses(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([settings.optimization.seed, step])
        chosen = rng.choice(len(targets), settings.optimization.batch, replace=False)
        tracks = [shards[item // dataset.shard][item % dataset.shard] for item in chosen]
        views = [_view(tracks, rng) for _ in range(2)]
        embedding = encoder.embed(torch.from_numpy(np.concatenate(views)).to(run.device))
        target = targets[chosen].repeat(2, 1)
        errors = (encoder.read(embedding) - target).square().mean(0)
        regression = (errors * weights).sum() / weights.sum()
        first, second = embedding.chunk(2)
        contrast = _contrast(first, second, settings.temperature)
        distance = (1 - (first * second).sum(-1)).mean()
        return {
            "loss": regression + settings.contrast * contrast + settings.together * distance,
            "reading": regression,
            "contrast": contrast,
            "cosine": 1 - distance,
        }

    excerpts = torch.from_numpy(held_out.astype(np.float32))

    stage = Stage(
        run=run,
        name="audio-encoder",
        model=encoder,
        optimization=settings.optimization,
        losses=losses,
        evaluate=lambda: _evaluate(encoder, excerpts, held_out_targets, run.device),
    )
    return train(stage)


@torch.inference_mode()
def _evaluate(
    encoder: AudioEncoderWithProbe, excerpts: Tensor, targets: Tensor, device: torch.device
) -> dict[str, float]:
    """Return the R² of the attributes, and cosines within and between tracks.

    excerpts: (N, excerpts, T, M); targets: (N, attributes), standardized.
    """
    views = [_embed(encoder, excerpts[:, k].to(device)) for k in range(2)]
    error = (encoder.read(views[0].to(device)).cpu() - targets).square().mean(0)
    r2 = 1 - error / targets.var(0, unbiased=False)
    cosines = views[0] @ views[1].T
    same = float(cosines.diagonal().mean())
    others = float((cosines.sum() - cosines.diagonal().sum()) / (cosines.numel() - len(cosines)))
    return {
        "r2_arousal": float(r2[0]),
        "r2_valence": float(r2[1]),
        "r2_mean": float(r2.mean()),
        "cosine_same": same,
        "cosine_least": float(cosines.diagonal().min()),
        "cosine_others": others,
    }


def _embed(encoder: AudioEncoderWithProbe, log_mel: Tensor) -> Tensor:
    """Embed (N, T, M) to (N, D) in small batches; returned on the CPU."""
    return torch.cat([encoder.embed(part) for part in torch.split(log_mel, 16)]).cpu()


def _view(tracks: Sequence[NDArray[np.float16]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw one augmented excerpt per track, each (excerpts, T, M), to (B, T, M).

    Start, level and spectral tilt vary, and a time span and a frequency band are masked as in
    SpecAugment (Park et al. 2019).
    """
    views = []
    for excerpts in tracks:
        view = excerpts[int(rng.integers(len(excerpts)))].astype(np.float32)
        view = np.roll(view, int(rng.integers(len(view))), axis=0)
        view = view + np.float32(rng.uniform(-8, 6))
        view += np.linspace(-1, 1, view.shape[1], dtype=np.float32) * np.float32(rng.uniform(-4, 4))
        for axis in (0, 1):
            length = int(rng.integers(view.shape[axis] // 8))
            first = int(rng.integers(view.shape[axis] - length))
            gap = [slice(None), slice(None)]
            gap[axis] = slice(first, first + length)
            view[tuple(gap)] = _SILENCE_DB if axis else view.mean()
        views.append(np.maximum(view, _SILENCE_DB))
    return np.stack(views)


def _contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the InfoNCE loss between two excerpts of each track (van den Oord et al. 2018)."""
    similar = first @ second.T / temperature
    target = torch.arange(len(first), device=first.device)
    return 0.5 * (
        nn.functional.cross_entropy(similar, target)
        + nn.functional.cross_entropy(similar.T, target)
    )
