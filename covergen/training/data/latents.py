"""Encode pictures to latent distributions with the VAE, once or at every step.

The cache holds means and standard deviations, so that every step can draw new samples without
running the VAE again.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor

from covergen.compute.memory import is_out_of_memory, release_cached
from covergen.core.errors import TrainingError
from covergen.diffusion.load_base import Vae
from covergen.training.data.examples import Latents
from covergen.training.data.latent_cache import LatentCache
from covergen.training.data.picture_views import make_views
from covergen.training.events import Emit, PictureEncoded
from covergen.training.recipe import Crop

_DECODING_THREADS = 8
_VIEWS_ON_GPU = 8

_Views = TypeVar("_Views", Tensor, "NDArray[np.float16]")


@dataclass(slots=True, kw_only=True)
class Encoder:
    """A frozen VAE with its picture preprocessing. `size`: (H, W) in pixels.

    `views_at_once`: how many are encoded together, 0 for the device's default; it is halved if the
    device runs out of memory.
    """

    vae: Vae
    size: tuple[int, int]
    crop: Crop
    flip: bool = False
    views_at_once: int = 0

    def __post_init__(self) -> None:
        if not self.views_at_once:  # on a CPU, one view fits into its cache
            self.views_at_once = 1 if self.vae.device.type == "cpu" else _VIEWS_ON_GPU

    def views(self, data: bytes) -> Tensor:
        """Decode an image file to its views: (V, 3, H, W) float32 in [-1, 1]. Raises ValueError."""
        return make_views(data, self.size, self.crop, flip=self.flip)

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

    def encode(self, views: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to means and standard deviations: (B, 2, C, h, w) float32.

        The latents of an AutoencoderTiny have a standard deviation of 0.
        """
        parts: list[Tensor] = []
        done = 0
        while done < len(views):
            part = self._try(views[done : done + self.views_at_once])
            if part is None:
                self.views_at_once //= 2
                release_cached(self.vae.device)
                continue
            parts.append(part)
            done += len(part)
        return torch.cat(parts)

    @torch.no_grad()
    def _try(self, views: Tensor) -> Tensor | None:
        """Encode together; return None if that runs out of memory and fewer can be tried."""
        try:
            found = self.vae.encode(views.to(self.vae.device, self.vae.dtype))
            if isinstance(self.vae, AutoencoderTiny):
                mean, deviation = found.latents, torch.zeros_like(found.latents)
            else:
                mean, deviation = found.latent_dist.mean, found.latent_dist.std
            return torch.stack([mean, deviation], dim=1).float()
        except RuntimeError as error:
            if not is_out_of_memory(error) or self.views_at_once == 1:
                raise
            return None

    def fingerprint(self) -> bytes:
        """Hash everything but the picture that the latents depend on."""
        views = f"{self.size} {self.crop}{' flip' if self.flip else ''}"
        digest = hashlib.blake2b(views.encode(), digest_size=32)
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
    cache = _CachedEncoder(encoder) if cached else None
    own = range(state.process_index, len(paths), state.num_processes)
    keys: dict[int, bytes] = {}
    problems: dict[int, str] = {}
    decoding = _decode(paths, own, cache, encoder, check_interrupted)
    for done, (index, decoded) in enumerate(decoding, start=1):
        if isinstance(decoded, str):
            problems[index] = decoded
        else:
            keys[index] = decoded.key
            if cache is not None:
                cache.add(decoded)
        emit(PictureEncoded(done=done, pictures=len(own)))
    if cache is not None:
        cache.flush()
    for other_keys, other_problems in gather_object([(keys, problems)]):
        keys |= other_keys
        problems |= other_problems
    return _from_cache(paths, cache, keys) if cache else _uncached(paths, encoder), problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoded:
    """A picture's key in the cache, and its views if it still has to be encoded."""

    key: bytes
    views: Tensor | None


def _decode(
    paths: Sequence[Path],
    indices: Sequence[int],
    cache: "_CachedEncoder | None",
    encoder: Encoder,
    check_interrupted: Callable[[], None],
) -> Iterator[tuple[int, _Decoded | str]]:
    """Decode files in threads ahead of the encoder, in order; a string is a file's problem."""

    def decode(path: Path) -> _Decoded | str:
        try:
            data = path.read_bytes()
            if cache is not None:
                return cache.look_up(data)
            encoder.views(data)
            return _Decoded(key=b"", views=None)
        except OSError as error:
            return f"its picture cannot be read: {error.strerror}"
        except ValueError as error:
            return str(error)

    pool = ThreadPoolExecutor(_DECODING_THREADS)
    ahead: deque[Future[_Decoded | str]] = deque()
    waiting = iter(indices)
    try:
        for index in indices:
            check_interrupted()
            for following in islice(waiting, 2 * _DECODING_THREADS - len(ahead)):
                ahead.append(pool.submit(decode, paths[following]))
            yield index, ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class _CachedEncoder:
    """Latents from the store, encoded first if they are missing."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._fingerprint = encoder.fingerprint()
        self._store = LatentCache()
        self._unencoded: dict[bytes, Tensor] = {}

    def look_up(self, data: bytes) -> _Decoded:
        """Decode an image file unless it is stored. Raises ValueError. Can be used in threads."""
        key = hashlib.blake2b(data, digest_size=32, key=self._fingerprint).digest()
        stored = self._store.has(key)
        return _Decoded(key=key, views=None if stored else self._encoder.views(data))

    def add(self, decoded: _Decoded) -> None:
        """Encode and store a picture unless it is stored, together with others."""
        if decoded.views is not None:
            self._unencoded[decoded.key] = decoded.views
        if sum(map(len, self._unencoded.values())) >= self._encoder.views_at_once:
            self.flush()

    def flush(self) -> None:
        """Encode and store the pictures that are still missing."""
        if not self._unencoded:
            return
        latents = self._encoder.encode(torch.cat([*self._unencoded.values()]))
        counts = [len(views) for views in self._unencoded.values()]
        for key, part in zip(self._unencoded, torch.split(latents, counts), strict=True):
            self._put(key, part)
        self._unencoded.clear()

    def find(self, path: Path, key: bytes) -> NDArray[np.float16]:
        """The latents of all views of an image file: (V, 2, C, h, w)."""
        blob = self._store.find(key)
        if not blob:
            blob = self._put(key, self._encoder.encode(self._encoder.reread_views(path)))
        views: NDArray[np.float16] = np.frombuffer(blob, "<f2").astype(np.float16)
        return views.reshape(-1, 2, *self._encoder.latent_shape)

    def _put(self, key: bytes, latents: Tensor) -> bytes:
        blob = latents.cpu().numpy().astype("<f2").tobytes()
        self._store.put(key, blob)
        return blob


def _from_cache(paths: Sequence[Path], cache: _CachedEncoder, keys: Mapping[int, bytes]) -> Latents:
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
