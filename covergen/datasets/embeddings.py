"""Read a dataset's embedding files, as written by art-from-audio and `covergen embed`."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


_ZIP = b"PK\x03\x04"  # the format of torch.save since 1.6
_MAX_BYTES = 1_000_000
_MAX_LENGTH = 65_536  # a small file can expand to any length by repeating one number
_DAMAGE_ERRORS = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)


def read_embedding(path: Path) -> NDArray[np.float32]:
    """Read a `.pt` with one tensor, or a `.safetensors` with the key "embedding".

    Returns (D,) float32, unit L2 norm. Raises DecodeError for anything else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        message = error.strerror or str(error)
        raise DecodeError(path, message, reason=Reason.UNREADABLE) from error
    if len(data) > _MAX_BYTES:
        raise DecodeError(path, "the file is too large", reason=Reason.BAD_EMBEDDING)
    load = _load_safetensors if path.suffix.lower() == ".safetensors" else _load_torch
    tensor = load(data)
    vector = None if tensor is None else _to_vector(tensor)
    if vector is None:
        message = "the file does not contain exactly one embedding"
        raise DecodeError(path, message, reason=Reason.BAD_EMBEDDING)
    largest = float(np.abs(vector).max())
    if not 0 < largest < float("inf"):
        raise DecodeError(path, "the embedding is zero or not finite", reason=Reason.BAD_EMBEDDING)
    vector = vector / largest  # avoids overflow in the norm
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _to_vector(tensor: torch.Tensor) -> NDArray[np.float64] | None:
    """Return a tensor as (D,), or None if it is not a single vector of floats."""
    single = 0 < tensor.numel() == max(tensor.shape, default=0) <= _MAX_LENGTH
    if not single or not tensor.is_floating_point():
        return None
    try:
        return tensor.detach().flatten().double().numpy()
    except _DAMAGE_ERRORS:  # a sparse layout or the "meta" device
        return None


def _load_safetensors(data: bytes) -> torch.Tensor | None:
    import safetensors.torch

    try:
        return safetensors.torch.load(data).get("embedding")
    except (safetensors.SafetensorError, *_DAMAGE_ERRORS):
        return None


def _load_torch(data: bytes) -> torch.Tensor | None:
    """Load a tensor written by torch.save, without executing code in it."""
    import torch

    if not data.startswith(_ZIP):  # torch also accepts plain pickles, with a warning
        return None
    try:
        value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *_DAMAGE_ERRORS):
        return None
    return value if isinstance(value, torch.Tensor) else None
