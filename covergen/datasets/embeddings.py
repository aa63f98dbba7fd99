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
_DAMAGE = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)


def read_embedding(path: Path) -> NDArray[np.float32]:
    """Read a `.pt` with one tensor, or a `.safetensors` with the key "embedding".

    Returns (D,) float32 of unit L2 norm, as CLAP's are. Raises DecodeError for anything else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        message = error.strerror or str(error)
        raise DecodeError(path, message, reason=Reason.UNREADABLE) from error
    tensor = _safetensors(data) if path.suffix.lower() == ".safetensors" else _torch_save(data)
    if tensor is None or tensor.numel() != max(tensor.shape, default=0):
        raise DecodeError(path, "it holds no single embedding", reason=Reason.BAD_EMBEDDING)
    vector = tensor.flatten().double().numpy()
    norm = float(np.linalg.norm(vector))
    if not 0 < norm < float("inf"):
        raise DecodeError(path, "it is zero or no number", reason=Reason.BAD_EMBEDDING)
    return np.asarray(vector / norm, dtype=np.float32)


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
