"""Sample covers of the adapter in training, on one sheet."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covergen.core.atomic_write import write_whole
from covergen.core.cover import PaintRequest, Sampling
from covergen.diffusion.painter import Painter
from covergen.diffusion.sampler import paint

SAMPLES = "samples"
"""The name of the samples folder in the output folder."""

_COLUMNS = 4
_CELL = 256  # pixels


def paint_sheet(
    path: Path,
    painter: Painter,
    vectors: NDArray[np.float32],
    sampling: Sampling,
    check_interrupted: Callable[[], None],
) -> None:
    """Paint a cover for each of (N, d_audio) vectors, with fixed seeds, into one PNG.

    `check_interrupted` is called before each sampling step. Raises ModelError, or OSError if the
    PNG cannot be written.
    """
    requests = [PaintRequest(vector=vector, seed=i) for i, vector in enumerate(vectors)]
    pictures = list(
        paint(painter, requests, sampling, batch_size=None, check_interrupted=check_interrupted)
    )
    height, width = pictures[0].shape[:2]
    scale = min(1.0, _CELL / max(height, width))
    cell = (round(width * scale), round(height * scale))
    rows = -(-len(pictures) // _COLUMNS)
    sheet = Image.new("RGB", (cell[0] * min(_COLUMNS, len(pictures)), cell[1] * rows), "white")
    for number, pixels in enumerate(pictures):
        small = Image.fromarray(pixels).resize(cell, Image.Resampling.LANCZOS)
        row, column = divmod(number, _COLUMNS)
        sheet.paste(small, (column * cell[0], row * cell[1]))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    path.parent.mkdir(exist_ok=True)
    write_whole(path, stream.getvalue())
