"""Patch latents, compared with numpy's singular value decomposition."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

import covergen.starter
from covergen.poster.attributes import draw_attributes
from covergen.poster.painter import paint
from covergen.starter.recipe.patches import (
    encode_pictures,
    load_basis,
    load_latents,
    read_basis,
)
from covergen.starter.recipe.run_folder import RunFolder
from covergen.starter.recipe.settings import DatasetSettings, LatentSettings, Recipe
from covergen.starter.recipe.vae import pixels_to_tensor

WEIGHTS = Path(covergen.starter.__file__).parent / "weights"
CHANNELS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("patches")
    recipe = Recipe(
        dataset=DatasetSettings(pictures=4, shard=2),
        latents=LatentSettings(channels=CHANNELS, measured=4),
    )
    run = RunFolder(folder=folder, recipe=recipe, device=torch.device("cpu"), late=lambda: False)
    place = folder / "dataset" / "train-pictures"
    place.mkdir(parents=True)
    for shard in range(2):
        np.save(place / f"{shard:04d}.npy", _pictures(shard))
    assert encode_pictures(run)
    return run


def _pictures(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rng = np.random.default_rng(seed)
    return np.stack([paint(draw_attributes(rng), rng, size=128, grain=False).pixels] * 2)


def test_reconstruction_is_the_best_linear_one(run: RunFolder) -> None:
    pixels = np.concatenate([_pictures(0), _pictures(1)])
    basis = load_basis(run)
    back = basis.decode(basis.encode(pixels)).astype(np.float64) / 127.5 - 1
    rows = [
        pixels[n, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].reshape(-1) / 127.5 - 1
        for n in range(4)
        for i in range(16)
        for j in range(16)
    ]
    centered = np.array(rows) - np.mean(rows, axis=0)
    truncated = (np.linalg.svd(centered, compute_uv=False)[CHANNELS:] ** 2).sum()
    error = ((back - (pixels / 127.5 - 1)) ** 2).sum()
    assert error == pytest.approx(truncated, rel=0.05)  # rounding and clipping


def test_mirror_images_are_encoded_too(run: RunFolder) -> None:
    mirrored = load_basis(run).encode(_pictures(0)[:, :, ::-1])
    assert np.allclose(load_latents(run)[:2, 1], mirrored, atol=5e-3)


def test_the_shipped_latents_are_those_of_the_shipped_autoencoder() -> None:
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "base" / "vae").eval()
    rng = np.random.default_rng(0)
    for family in ("cut paper", "horizon landscape"):
        painting = paint(draw_attributes(rng), rng, size=512, style=family, grain=False)
        reduced = painting.pixels.reshape(1, 128, 4, 128, 4, 3).mean((2, 4)).astype(np.uint8)
        latents = read_basis(WEIGHTS / "latents.safetensors").encode(reduced)
        with torch.inference_mode():
            encoded = vae.encode(pixels_to_tensor(painting.pixels[None])).latent_dist.mean.numpy()
        assert np.square(encoded - latents).mean() < 0.02 * np.square(latents).mean()
