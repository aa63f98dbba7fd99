"""What the trained tower hears in every rendered track."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from covergen.starter.recipe.stretch import load_average
from covergen.starter.recipe.tower import ATTRIBUTES, Listener
from covergen.starter.recipe.world import load_shards

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.recipe.run import Run
    from covergen.starter.recipe.world import Split

__all__ = ["embed_split", "load_listener"]


def load_listener(run: Run) -> Listener:
    """The averaged tower, frozen."""
    listener = Listener(run.recipe.tower, ATTRIBUTES)
    load_average(run.folder / "tower", listener)
    return listener.to(run.device).eval().requires_grad_(False)


def embed_split(run: Run, split: Split) -> NDArray[np.float32]:
    """(N, excerpts, D), kept in embeddings/ from the first call on."""
    path = run.folder / "embeddings" / f"{split}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        listener = load_listener(run)
        shards = load_shards(run, split, "tracks")
        np.save(path, np.concatenate([_embed(listener, shard) for shard in shards]))
    embeddings: NDArray[np.float32] = np.load(path)
    return embeddings


@torch.inference_mode()
def _embed(listener: Listener, tracks: NDArray[np.float16]) -> NDArray[np.float32]:
    count, excerpts = tracks.shape[:2]
    log_mel = torch.from_numpy(tracks.astype(np.float32)).flatten(0, 1)
    device = listener.head.weight.device
    embedded = torch.cat([listener.embed(part.to(device)) for part in torch.split(log_mel, 16)])
    return np.asarray(embedded.cpu().view(count, excerpts, -1))
