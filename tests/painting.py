"""Painting in unit tests: on the CPU, and in fp32 unless another type is asked for."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from covergen.core.cover import PaintRequest, Sampling
from covergen.diffusion.painter import Painter, load_painter
from covergen.diffusion.sampler import paint

__all__ = ["load", "paint_all"]


def load(
    base: Path, adapter: Path | None, *, dtype: torch.dtype = torch.float32, **options: Any
) -> Painter:
    cpu = torch.device("cpu")
    return load_painter(base, adapter, **{"d_audio": 512, **options}, device=cpu, dtype=dtype)


def paint_all(
    painter: Painter,
    requests: Iterable[PaintRequest],
    sampling: Sampling,
    batch_size: int | None = None,
) -> NDArray[np.uint8]:
    """Return all pictures, (N, H, W, 3)."""
    pictures = paint(
        painter, requests, sampling, batch_size=batch_size, check_interrupted=lambda: None
    )
    return np.stack(list(pictures))
