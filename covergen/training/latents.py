"""Pictures as latents: the distribution that the VAE gives each, encoded once or at every step.

What is kept is its mean and deviation, so that every step can sample from it anew, just as if the
VAE had been asked again.
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
    """A frozen VAE, and how pictures are brought to it: `size` is (H, W) in pixels."""

    vae: AutoencoderKL
    size: tuple[int, int]
    crop: Crop

    def views(self, data: bytes) -> Tensor:
        """An image file's views: (V, 3, H, W) float32 in -1..1. Raises ValueError."""
        return make_views(data, self.size, self.crop)

    def views_again(self, path: Path) -> Tensor:
        """Those of a file that was readable when the training began. Raises TrainingError."""
        try:
            return self.views(path.read_bytes())
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{path} could be read when the training began, and cannot be now: {error}",
                hint="Put it back, then go on with --resume.",
            ) from error

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of a view."""
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        height, width = self.size
        return int(self.vae.config.latent_channels), height // factor, width // factor

    @torch.no_grad()
    def encode(self, views: Tensor) -> Tensor:
        """(B, 3, H, W) to means and deviations on the VAE's device: (B, 2, C, h, w) float32."""
        parts = [
            self.vae.encode(view.to(self.vae.device, self.vae.dtype)).latent_dist
            for view in torch.split(views, 1)  # what one takes fits into a processor's cache
        ]
        return torch.cat([torch.stack([p.mean, p.std], dim=1) for p in parts]).float()

    def fingerprint(self) -> bytes:
        """Of everything that the latents depend on but the picture."""
        digest = hashlib.blake2b(f"{self.size} {self.crop}".encode(), digest_size=32)
        for tensor in self.vae.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.digest()


def from_array(latents: NDArray[np.floating] | Tensor) -> Latents:
    """Latents that are at hand, one view a picture: (N, 2, C, h, w), in memory or mapped."""

    def get(picks: NDArray[np.intp], _places: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(latents[picks])

    return get


def from_pictures(
    paths: Sequence[Path],
    encoder: Encoder,
    *,
    cached: bool,
    emit: Emit,
    checkpoint: Callable[[], None],
) -> tuple[Latents, dict[int, str]]:
    """The latents of image files, and why some have none, by their numbers.

    Every file is decoded now. Where `cached`, its latents are encoded now too and kept on disk in
    half precision, by the file's content and all that they depend on; else at every call, on the
    VAE's device. Several processes share the work. What `checkpoint` raises is passed on.
    """
    state = PartialState()
    cache = _LatentCache(encoder) if cached else None
    numbers = range(state.process_index, len(paths), state.num_processes)
    keys: dict[int, bytes] = {}
    problems: dict[int, str] = {}
    for done, number in enumerate(numbers, start=1):
        checkpoint()
        try:
            data = paths[number].read_bytes()
            keys[number] = cache.keep(data) if cache else _look(encoder, data)
        except OSError as error:
            problems[number] = f"its picture cannot be read: {error.strerror}"
        except ValueError as error:
            problems[number] = str(error)
        emit(PictureEncoded(done=done, pictures=len(numbers)))
    for other_keys, other_problems in gather_object([(keys, problems)]):
        keys |= other_keys
        problems |= other_problems
    return _from_cache(paths, cache, keys) if cache else _encoded_anew(paths, encoder), problems


class _LatentCache:
    """Latents of pictures, encoded where they are not kept yet."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._fingerprint = encoder.fingerprint()
        self._store = LatentStore()

    def keep(self, data: bytes) -> bytes:
        """Encode an image file if that was never done; returns its key. Raises ValueError."""
        key = hashlib.blake2b(data, digest_size=32, key=self._fingerprint).digest()
        if not self._store.has(key):
            self._encode(self._encoder.views(data), key)
        return key

    def find(self, path: Path, key: bytes) -> NDArray[np.float16]:
        """Every view of an image file that was kept: (V, 2, C, h, w)."""
        blob = self._store.find(key) or self._encode(self._encoder.views_again(path), key)
        views: NDArray[np.float16] = np.frombuffer(blob, "<f2").astype(np.float16)
        return views.reshape(-1, 2, *self._encoder.latent_shape)

    def _encode(self, views: Tensor, key: bytes) -> bytes:
        blob = self._encoder.encode(views).cpu().numpy().astype("<f2").tobytes()
        self._store.put(key, blob)
        return blob


def _look(encoder: Encoder, data: bytes) -> bytes:
    encoder.views(data)
    return b""


def _from_cache(paths: Sequence[Path], cache: _LatentCache, keys: Mapping[int, bytes]) -> Latents:
    def get(picks: NDArray[np.intp], places: NDArray[np.float64]) -> Tensor:
        found = [cache.find(paths[pick], keys[pick]) for pick in picks.tolist()]
        views = [_at(views, place) for views, place in zip(found, places, strict=True)]
        return torch.from_numpy(np.stack(views))

    return get


def _encoded_anew(paths: Sequence[Path], encoder: Encoder) -> Latents:
    def get(picks: NDArray[np.intp], places: NDArray[np.float64]) -> Tensor:
        with ThreadPoolExecutor(_DECODING_THREADS) as pool:
            found = pool.map(encoder.views_again, [paths[pick] for pick in picks.tolist()])
            views = [_at(views, place) for views, place in zip(found, places, strict=True)]
        return encoder.encode(torch.stack(views))

    return get


def _at(views: _Views, place: float) -> _Views:
    """The view at `place`, in 0..1 but for 1 itself."""
    view: _Views = views[int(place * len(views))]
    return view
