"""Paint requests in batches that fit in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from covergen.compute.memory import is_out_of_memory, release_cached
from covergen.core.cover import PaintRequest
from covergen.core.errors import ModelError
from covergen.diffusion.batch_size import memory_error

Pictures = NDArray[np.uint8]
"""(B, H, W, 3) uint8, sRGB."""


def in_batches(
    requests: Iterable[PaintRequest],
    size: int,
    paint_batch: Callable[[Sequence[PaintRequest]], Pictures],
    *,
    device: torch.device,
) -> Iterator[Pictures]:
    """Paint requests in order, `size` at a time, and yield each batch.

    At most one batch of requests is read ahead. A batch that runs out of memory is halved, as are
    later ones. Raises ModelError if not even one picture fits, and whatever `paint_batch` raises.
    """
    waiting = iter(requests)
    batch: list[PaintRequest] = []
    while batch := batch or list(islice(waiting, size)):
        pictures = _try_batch(batch[:size], paint_batch, device)
        if pictures is None:
            size = max(1, len(batch[:size]) // 2)
            continue
        batch = batch[size:]
        yield pictures


def not_finite(dtype: torch.dtype) -> ModelError:
    """The error for pictures that contain NaN or infinite values."""
    return ModelError(
        f"The model's output in {dtype} contains NaN or infinite values.",
        hint="Try --dtype fp32. If that does not help, the model's weights are damaged.",
    )


def _try_batch(
    batch: Sequence[PaintRequest],
    paint_batch: Callable[[Sequence[PaintRequest]], Pictures],
    device: torch.device,
) -> Pictures | None:
    """Paint one batch; return None if it runs out of memory and can be made smaller."""
    try:
        return paint_batch(batch)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise memory_error("Out of memory: not even one picture fits.") from error
    release_cached(device)
    return None
