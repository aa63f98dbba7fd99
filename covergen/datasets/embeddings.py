"""Embedding files of a dataset, as art-from-audio and `covergen embed` write them."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

__all__ = ["read_embedding"]

_ZIP = b"PK\x03\x04"  # what torch.save has written since 1.6
_MOST_BYTES = 1_000_000
_LONGEST = 65_536  # numbers: a file can claim any length by repeating one number
_DAMAGE = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)


def read_embedding(path: Path) -> NDArray[np.float32]:
    """Read a `.pt` with one tensor, or a `.safetensors` with the key "embedding".

    Returns (D,) float32 of unit L2 norm, as CLAP's are. Raises DecodeError for anything else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        message = error.strerror or str(error)
        raise DecodeError(path, message, reason=Reason.UNREADABLE) from error
    if len(data) > _MOST_BYTES:
        raise DecodeError(path, "it is too large for one", reason=Reason.BAD_EMBEDDING)
    load = _safetensors if path.suffix.lower() == ".safetensors" else _torch_save
    tensor = load(data)
    vector = None if tensor is None else _plain(tensor)
    if vector is None:
        raise DecodeError(path, "it holds no single embedding", reason=Reason.BAD_EMBEDDING)
    largest = float(np.abs(vector).max())
    if not 0 < largest < float("inf"):
        raise DecodeError(path, "it is zero or no number", reason=Reason.BAD_EMBEDDING)
    vector = vector / largest  # whose squares are numbers, too
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _plain(tensor: torch.Tensor) -> NDArray[np.float64] | None:
    """(D,) numbers, None where it is no single row of them."""
    single = 0 < tensor.numel() == max(tensor.shape, default=0) <= _LONGEST
    if not single or not tensor.is_floating_point():
        return None
    try:
        return tensor.detach().flatten().double().numpy()
    except _DAMAGE:  # of a layout or a device that has no numbers to give
        return None


def _safetensors(data: bytes) -> torch.Tensor | None:
    import safetensors.torch

    try:
        return safetensors.torch.load(data).get("embedding")
    except (safetensors.SafetensorError, *_DAMAGE):
        return None


def _torch_save(data: bytes) -> torch.Tensor | None:
    """What torch.save wrote, if it is a tensor; code in it is not run."""
    import torch

    if not data.startswith(_ZIP):  # torch takes plain pickles too, with a warning
        return None
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *_DAMAGE):
        return None
    return found if isinstance(found, torch.Tensor) else None
