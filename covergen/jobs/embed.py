"""Write the CLAP embeddings of tracks to files, for training and for other programs."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from covergen.pipeline.engines import embed_plans
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit
from covergen.pipeline.session import open_session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.track_outputs import TrackOutputs


def embed(
    outputs: TrackOutputs, options: PaintOptions, emit: Emit, check_interrupted: CheckInterrupted
) -> None:
    """Write each track's embedding as a (1, D) float32 tensor.

    The suffix of `outputs` selects the format: ".pt" for torch.save, ".safetensors" for a file
    with the key "embedding". Raises ModelError, UsageError for the device, ClusterError, and
    Interrupted if `check_interrupted` raises it.
    """
    with open_session() as session:
        embedded = embed_plans(
            outputs.plans(session.scan_cache, emit, check_interrupted),
            options,
            session.store,
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
