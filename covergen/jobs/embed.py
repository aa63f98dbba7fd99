"""Write the CLAP embeddings of tracks to files, for training and for other programs."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from covergen.audio.clap import AudioEncoder
from covergen.pipeline.events import AlbumDone, GpuUnused, ModelLoading
from covergen.pipeline.painting import embed_albums
from covergen.pipeline.session import open_session

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from covergen.compute.device import Compute
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.track_outputs import TrackOutputs

__all__ = ["embed"]


def embed(
    outputs: TrackOutputs,
    clap: Path,
    compute: Compute,
    emit: Emit,
    check_interrupted: CheckInterrupted,
    *,
    windows: int,
    padding: str | None,
    workers: int,
) -> None:
    """Write each track's embedding as a (1, D) float32 tensor.

    The suffix of `outputs` selects the format: ".pt" for torch.save, ".safetensors" for a file
    with the key "embedding". Raises ModelError, and Interrupted if `check_interrupted` raises it.
    """
    audio_encoder = AudioEncoder(clap, device=compute.device, dtype=compute.dtype, padding=padding)
    if compute.unused:
        emit(GpuUnused(why=compute.unused))
    emit(ModelLoading())
    with open_session() as session:
        plans = outputs.plans(session.scan_cache, emit, check_interrupted)
        embedded = embed_albums(
            plans,
            audio_encoder,
            session.store,
            windows=windows,
            workers=workers,
            emit=emit,
            check_interrupted=check_interrupted,
        )
        with closing(embedded):  # ends the threads that use the store
            for embedding in embedded:
                done = outputs.write(embedding.plan, _file_bytes(embedding.vector, outputs.suffix))
                plan = embedding.plan
                emit(AlbumDone(plan=plan, reason=plan.reason, outcomes=(done,)))


def _file_bytes(vector: NDArray[np.float32], suffix: str) -> bytes:
    tensor = torch.from_numpy(vector).unsqueeze(0)
    if suffix == ".safetensors":
        return safetensors.torch.save({"embedding": tensor})
    stream = io.BytesIO()
    torch.save(tensor, stream)
    return stream.getvalue()
