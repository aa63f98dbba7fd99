"""The latents: the strongest principal components of every patch of a picture.

An autoencoder that finds its own latents takes far longer to train than one that learns given
latents by regression. Since the components are known in advance, the base can also be trained in
parallel with the autoencoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from covergen.core.atomic_write import replacing
from covergen.starter.recipe.dataset import load_shards, save_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.recipe.dataset import Kind, Split
    from covergen.starter.recipe.run_folder import RunFolder
    from covergen.starter.recipe.settings import LatentSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchBasis:
    """A linear code for patches.

    mean: (side·side·3,); directions: (C, side·side·3), orthonormal; scale: (C,).
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    scale: NDArray[np.float32]

    @property
    def side(self) -> int:
        """The side of a patch in pixels."""
        return math.isqrt(len(self.mean) // 3)

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (N, H, W, 3) uint8 pixels to (N, C, H / side, W / side)."""
        patches = _patches(pixels, self.side) - self.mean
        latents = (patches @ self.directions.T / self.scale).astype(np.float32, copy=False)
        return np.moveaxis(latents, -1, 1)

    def decode(self, latents: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Decode (N, C, h, w) to (N, H, W, 3) uint8 pixels."""
        patches = (np.moveaxis(latents, 1, -1) * self.scale) @ self.directions + self.mean
        count, rows, columns, _ = patches.shape
        side = self.side
        cut = patches.reshape(count, rows, columns, side, side, 3).swapaxes(2, 3)
        levels = (cut.reshape(count, rows * side, columns * side, 3) + 1) * 127.5
        return levels.round().clip(0, 255).astype(np.uint8)


def encode_pictures(run: RunFolder) -> bool:
    """Fit the basis, or take the initial one, and encode every picture and its mirror image.

    Returns True.
    """
    folder = _folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "basis.safetensors").exists():
        basis = read_basis(run.initial / "latents.safetensors") if run.initial else _fit_basis(run)
        write_basis(basis, folder / "basis.safetensors")
    _encode(run, "train")
    _encode(run, "train", "styled")
    _encode(run, "validation")
    return True


def _encode(run: RunFolder, split: Split, kind: Kind = "pictures") -> None:
    basis = load_basis(run)
    name = split if kind == "pictures" else f"{split}-{kind}"
    for number, pictures in enumerate(load_shards(run, split, kind)):
        path = _folder(run) / f"{name}-{number:04d}.npy"
        if not path.exists():
            both = np.stack([basis.encode(p) for p in (pictures, pictures[:, :, ::-1])], axis=1)
            save_array(path, both.astype(np.float16))


def load_basis(run: RunFolder) -> PatchBasis:
    """Load the basis used by `encode_pictures`."""
    return read_basis(_folder(run) / "basis.safetensors")


def read_basis(path: Path) -> PatchBasis:
    """Read what `write_basis` wrote."""
    return PatchBasis(**load_file(path))


def write_basis(basis: PatchBasis, path: Path) -> None:
    """Write a basis as a safetensors file."""
    with replacing(path) as new:
        save_file(asdict(basis), new)


def load_latents(run: RunFolder, split: Split = "train") -> NDArray[np.float16]:
    """Load latents, (N, 2, C, h, w): of each picture and its mirror image.

    The order is that of `load_captions`.
    """
    paths = sorted(_folder(run).glob(f"{split}-*.npy"))  # digits come before "styled"
    return np.concatenate([np.load(path) for path in paths])


def _fit_basis(run: RunFolder) -> PatchBasis:
    shards, settings = load_shards(run, "train", "pictures"), run.recipe.latents
    stride = max(1, len(shards) * run.recipe.dataset.shard // settings.measured)
    return _fit_components([shard[::stride] for shard in shards], settings)


def _fit_components(parts: Sequence[NDArray[np.uint8]], settings: LatentSettings) -> PatchBasis:
    """Fit principal components, with scales between their standard deviations and equal ones.

    Stronger components stay larger, so that noise destroys them last and the base paints from
    coarse to fine.
    """
    width = 3 * settings.side**2
    count, total, products = 0, np.zeros(width), np.zeros((width, width))
    for pixels in parts:
        patches = _patches(pixels, settings.side).reshape(-1, width)
        count += len(patches)
        total += patches.sum(axis=0, dtype=np.float64)
        products += patches.T @ patches
    mean = total / count
    variances, directions = np.linalg.eigh(products / count - np.outer(mean, mean))
    strongest = np.argsort(variances)[::-1][: settings.channels]
    deviations = np.sqrt(variances[strongest])
    scale = deviations**settings.whitening
    scale *= np.sqrt(np.mean((deviations / scale) ** 2))  # the latents' mean variance becomes 1
    return PatchBasis(
        mean=mean.astype(np.float32),
        directions=np.ascontiguousarray(directions[:, strongest].T, np.float32),
        scale=scale.astype(np.float32),
    )


def _patches(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Cut (N, H, W, 3) uint8 pixels into (N, H / side, W / side, side·side·3) in -1..1."""
    count, height, width, _ = pixels.shape
    cut = pixels.reshape(count, height // side, side, width // side, side, 3).swapaxes(2, 3)
    levels = cut.reshape(count, height // side, width // side, -1).astype(np.float32)
    return levels / np.float32(127.5) - 1


def _folder(run: RunFolder) -> Path:
    return run.folder / "latents"
