"""CLAP embeddings of tracks, as files for training and for other programs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from covergen.audio.clap import Tower
from covergen.audio.store import EmbeddingStore
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.jobs.events import AlbumDone
from covergen.jobs.stages import embed_albums
from covergen.library.memory import ScanMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from covergen.jobs.compute import Compute
    from covergen.jobs.events import Emit
    from covergen.jobs.tracks import TrackOutputs

__all__ = ["embed"]


def embed(
    outputs: TrackOutputs,
    clap: Path,
    compute: Compute,
    emit: Emit,
    checkpoint: Callable[[], None],
    *,
    windows: int,
    workers: int,
) -> None:
    """Write each track's embedding as (1, D) float32.

    The suffix of `outputs` decides the format: ".pt" as torch.save writes it, ".safetensors"
    under the key "embedding". Raises ModelError, and Interrupted when `checkpoint` says so.
    """
    tower = Tower(clap, device=compute.device, dtype=compute.dtype)
    with closing(ScanMemory()) as memory, closing(EmbeddingStore()) as store:
        plans = outputs.plans(memory, emit, checkpoint)
        heard = embed_albums(
            plans,
            tower,
            store,
            windows=windows,
            workers=workers,
            emit=emit,
            checkpoint=checkpoint,
        )
        for embedding in heard:
            output = outputs.take(embedding.plan.album)
            vector = torch.from_numpy(embedding.vector).unsqueeze(0)
            if outputs.suffix == ".safetensors":
                save_file({"embedding": vector}, output)
            else:
                torch.save(vector, output)
            done = Outcome(path=output, status=Status.WRITTEN, reason=Reason.WRITTEN)
            emit(AlbumDone(plan=embedding.plan, reason=embedding.plan.reason, outcomes=(done,)))
            checkpoint()
