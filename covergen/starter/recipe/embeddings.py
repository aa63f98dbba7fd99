"""Embed every rendered track with the trained audio encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from covergen.starter.recipe.audio_encoder import ATTRIBUTES, AudioEncoderWithProbe
from covergen.starter.recipe.dataset import load_shards, save_array
from covergen.starter.recipe.training_loop import load_average

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.recipe.dataset import Split
    from covergen.starter.recipe.run_folder import RunFolder


_RIDGE = 0.03  # relative to the mean variance between excerpts of a track


def load_encoder(run: RunFolder) -> AudioEncoderWithProbe:
    """Load the averaged encoder, frozen, with the Wiener filter merged into its projection.

    Initial weights contain the filter already.
    """
    encoder = _load_unfiltered(run)
    if not run.initial:
        encoder.project(torch.from_numpy(_filter(run)).to(run.device))
    return encoder


def embed_split(run: RunFolder, split: Split) -> NDArray[np.float32]:
    """Return the filtered embeddings of a split, (N, excerpts, D), unit L2 norm."""
    filtered = _embed_unfiltered(run, split)
    if not run.initial:
        filtered = filtered @ _filter(run).T
    return np.asarray(filtered / np.linalg.norm(filtered, axis=-1, keepdims=True))


def _filter(run: RunFolder) -> NDArray[np.float32]:
    unfiltered = _embed_unfiltered(run, "train")
    return wiener_filter(unfiltered, noise=run.recipe.audio_encoder.noise)


def _embed_unfiltered(run: RunFolder, split: Split) -> NDArray[np.float32]:
    """Return what the trained encoder embeds, (N, excerpts, D). Cached in embeddings/."""
    path = run.folder / "embeddings" / f"{split}.npy"
    trained = run.folder / "audio-encoder" / "checkpoint.pt"
    if not path.exists() or path.stat().st_mtime < trained.stat().st_mtime:
        encoder = _load_unfiltered(run)
        shards = load_shards(run, split, "tracks")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_array(path, np.concatenate([_embed(encoder, shard) for shard in shards]))
    embeddings: NDArray[np.float32] = np.load(path)
    return embeddings


def wiener_filter(embeddings: NDArray[np.float32], *, noise: float) -> NDArray[np.float32]:
    """Return a (D, D) matrix that attenuates directions in which excerpts of a track differ.

    With a `noise` of 1 it is the best linear estimate of a track's mean from one excerpt (Wiener
    1949); larger values attenuate more. embeddings: (N, excerpts, D).
    """
    rows = embeddings.astype(np.float64)
    means = rows.mean(axis=1)
    within = (rows - means[:, None]).reshape(-1, rows.shape[-1])
    within_covariance = within.T @ within / (len(means) * (rows.shape[1] - 1))
    between = means - means.mean(axis=0)
    covariance = between.T @ between / len(between)
    ridge = _RIDGE * np.trace(within_covariance) / len(covariance) * np.eye(len(covariance))
    total = covariance + noise * within_covariance + ridge
    return np.linalg.solve(total, covariance).T.astype(np.float32)


def _load_unfiltered(run: RunFolder) -> AudioEncoderWithProbe:
    encoder = AudioEncoderWithProbe(run.recipe.audio_encoder, ATTRIBUTES)
    load_average(run.folder / "audio-encoder", encoder)
    return encoder.to(run.device).eval().requires_grad_(False)


@torch.inference_mode()
def _embed(encoder: AudioEncoderWithProbe, tracks: NDArray[np.float16]) -> NDArray[np.float32]:
    count, excerpts = tracks.shape[:2]
    log_mel = torch.from_numpy(tracks.astype(np.float32)).flatten(0, 1)
    device = encoder.head.weight.device
    embedded = torch.cat([encoder.embed(part.to(device)) for part in torch.split(log_mel, 16)])
    return np.asarray(embedded.cpu().view(count, excerpts, -1))
