"""Encode pictures to latent distributions with the VAE, once or at every step.

The cache holds means and standard deviations, so that every step can draw new samples without
running the VAE again.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from covergen.core.errors import TrainingError
from covergen.training.events import Emit, PictureEncoded
from covergen.training.examples import Latents
from covergen.training.latent_store import LatentStore
from covergen.training.pictures import make_views
from covergen.training.recipe import Crop

__all__ = ["Encoder", "from_array", "from_pictures"]

_DECODING_THREADS = 8

_Views = TypeVar("_Views", Tensor, "NDArray[np.float16]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A frozen VAE with its picture preprocessing. `size`: (H, W) in pixels."""

    vae: AutoencoderKL
    size: tuple[int, int]
    crop: Crop

    def views(self, data: bytes) -> Tensor:
        """Decode an image file to its views: (V, 3, H, W) float32 in [-1, 1]. Raises ValueError."""
        return make_views(data, self.size, self.crop)

    def reread_views(self, path: Path) -> Tensor:
        """Decode a file that was readable at the start of training. Raises TrainingError."""
        try:
            return self.views(path.read_bytes())
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{path} can no longer be read: {error}",
                hint="Restore the file, then run the same command with --resume.",
            ) from error

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of a view."""
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        height, width = self.size
        return int(self.vae.config.latent_channels), height // factor, width // factor

    @torch.no_grad()
    def encode(self, views: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to means and standard deviations: (B, 2, C, h, w) float32."""
        parts = [
            self.vae.encode(view.to(self.vae.device, self.vae.dtype)).latent_dist
            for view in torch.split(views, 1)  # one at a time fits into the CPU's cache
        ]
        return torch.cat([torch.stack([p.mean, p.std], dim=1) for p in parts]).float()

    def fingerprint(self) -> bytes:
        """Hash everything but the picture that the latents depend on."""
        digest = hashlib.blake2b(f"{self.size} {self.crop}".encode(), digest_size=32)
        for tensor in self.vae.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.digest()


def from_array(latents: NDArray[np.floating] | Tensor) -> Latents:
    """Wrap precomputed latents with one view per picture: (N, 2, C, h, w)."""

    def get(indices: NDArray[np.intp], _positions: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(latents[indices])

    return get


def from_pictures(
    paths: Sequence[Path],
    encoder: Encoder,
    *,
    cached: bool,
    emit: Emit,
    check_interrupted: Callable[[], None],
) -> tuple[Latents, dict[int, str]]:
    """Prepare the latents of image files; also return the problem of each unusable one, by index.

    All files are decoded once to check them. If `cached`, they are also encoded, and cached on disk
    in half precision under a hash of the file's content and the encoder; otherwise they are encoded
    on every call, on the VAE's device. Several processes share the work. `check_interrupted` is
    called before each file; its exceptions are not caught.
    """
    state = PartialState()
    cache = _LatentCache(encoder) if cached else None
    own = range(state.process_index, len(paths), state.num_processes)
    keys: dict[int, bytes] = {}
    problems: dict[int, str] = {}
    for done, index in enumerate(own, start=1):
        check_interrupted()
        try:
            data = paths[index].read_bytes()
            keys[index] = cache.add(data) if cache else _check(encoder, data)
        except OSError as error:
            problems[index] = f"its picture cannot be read: {error.strerror}"
        except ValueError as error:
            problems[index] = str(error)
        emit(PictureEncoded(done=done, pictures=len(own)))
    for other_keys, other_problems in gather_object([(keys, problems)]):
        keys |= other_keys
        problems |= other_problems
    return _from_cache(paths, cache, keys) if cache else _uncached(paths, encoder), problems


class _LatentCache:
    """Latents from the store, encoded first if they are missing."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._fingerprint = encoder.fingerprint()
        self._store = LatentStore()

    def add(self, data: bytes) -> bytes:
        """Encode an image file unless it is stored; return its key. Raises ValueError."""
        key = hashlib.blake2b(data, digest_size=32, key=self._fingerprint).digest()
        if not self._store.has(key):
            self._encode(self._encoder.views(data), key)
        return key

    def find(self, path: Path, key: bytes) -> NDArray[np.float16]:
        """The latents of all views of an image file: (V, 2, C, h, w)."""
        blob = self._store.find(key) or self._encode(self._encoder.reread_views(path), key)
        views: NDArray[np.float16] = np.frombuffer(blob, "<f2").astype(np.float16)
        return views.reshape(-1, 2, *self._encoder.latent_shape)

    def _encode(self, views: Tensor, key: bytes) -> bytes:
        blob = self._encoder.encode(views).cpu().numpy().astype("<f2").tobytes()
        self._store.put(key, blob)
        return blob


def _check(encoder: Encoder, data: bytes) -> bytes:
    encoder.views(data)
    return b""


def _from_cache(paths: Sequence[Path], cache: _LatentCache, keys: Mapping[int, bytes]) -> Latents:
    def get(indices: NDArray[np.intp], positions: NDArray[np.float64]) -> Tensor:
        found = [cache.find(paths[index], keys[index]) for index in indices.tolist()]
        views = [_view_at(views, p) for views, p in zip(found, positions, strict=True)]
        return torch.from_numpy(np.stack(views))

    return get


def _uncached(paths: Sequence[Path], encoder: Encoder) -> Latents:
    def get(indices: NDArray[np.intp], positions: NDArray[np.float64]) -> Tensor:
        with ThreadPoolExecutor(_DECODING_THREADS) as pool:
            found = pool.map(encoder.reread_views, [paths[index] for index in indices.tolist()])
            views = [_view_at(views, p) for views, p in zip(found, positions, strict=True)]
        return encoder.encode(torch.stack(views))

    return get


def _view_at(views: _Views, position: float) -> _Views:
    """The view at a position in [0, 1)."""
    view: _Views = views[int(position * len(views))]
    return view
