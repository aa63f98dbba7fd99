"""Pictures to latents: preprocessing, encoding and caching."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from covergen.core.app_folders import cache_folder
from covergen.training.data.latents import Encoder, from_pictures
from covergen.training.data.picture_views import make_views
from covergen.training.events import PictureEncoded
from covergen.training.recipe import Crop
from tests.tiny_pipelines import make_tiny_decoder

# Three vertical stripes, from left to right: red, green, blue.
STRIPES = np.repeat(np.eye(3, dtype=np.uint8)[None] * 255, 32, axis=1).repeat(32, axis=0)


def as_png(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def vae(sd1: Path) -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(sd1 / "vae").requires_grad_(False)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for number, shape in enumerate([(64, 64, 3), (64, 128, 3), (128, 64, 3)]):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(as_png(rng.integers(0, 256, shape, dtype=np.uint8)))
    return paths


class Latents:
    """The result of `from_pictures`, and its events."""

    def __init__(
        self,
        paths: Sequence[Path],
        vae: AutoencoderKL | AutoencoderTiny,
        crop: Crop = "center",
        *,
        cached: bool = True,
        flip: bool = False,
    ) -> None:
        self.events: list[Any] = []
        encoder = Encoder(vae=vae, size=(64, 64), crop=crop, flip=flip)
        self.latents, self.problems = from_pictures(
            paths, encoder, cached=cached, emit=self.events.append, check_interrupted=lambda: None
        )

    def at(self, indices: Sequence[int], positions: Sequence[float] | None = None) -> Tensor:
        where = np.zeros(len(indices)) if positions is None else np.array(positions)
        return self.latents(np.array(indices, dtype=np.intp), where).float()


@pytest.mark.parametrize("cached", [True, False])
def test_latents_are_the_vaes_distribution(
    paths: list[Path], vae: AutoencoderKL, cached: bool
) -> None:
    latents = Latents(paths, vae, cached=cached)
    found = latents.at([0, 2])
    square, tall = (np.array(Image.open(paths[i])) for i in (0, 2))
    pixels = torch.from_numpy(np.stack([square, tall[32:96]])).permute(0, 3, 1, 2) / 127.5 - 1
    expected = vae.encode(pixels).latent_dist
    torch.testing.assert_close(found[:, 0], expected.mean, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(found[:, 1], expected.std, rtol=2e-3, atol=1e-6)
    assert latents.problems == {}
    assert [e.done for e in latents.events if isinstance(e, PictureEncoded)] == [1, 2, 3]


@pytest.mark.parametrize("cached", [True, False])
def test_a_tiny_vae_encodes_without_a_distribution(
    paths: list[Path], tmp_path: Path, cached: bool
) -> None:
    tiny = AutoencoderTiny.from_pretrained(make_tiny_decoder(tmp_path / "vae"))
    found = Latents(paths, tiny, cached=cached).at([0])
    pixels = torch.from_numpy(np.array(Image.open(paths[0]))).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = tiny.encode(pixels).latents
    torch.testing.assert_close(found[:, 0], expected, rtol=2e-3, atol=2e-3)
    assert not found[:, 1].any()


def test_cached_pictures_are_not_encoded_again(
    paths: list[Path], vae: AutoencoderKL, sd1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, encoded = vae.encode, 0

    def count(pixels: Tensor) -> object:
        nonlocal encoded
        encoded += len(pixels)
        return encode(pixels)

    monkeypatch.setattr(vae, "encode", count)
    first = Latents(paths, vae).at([0, 2])
    assert encoded == 3
    assert torch.equal(first, Latents([paths[2], paths[0]], vae).at([1, 0]))
    assert encoded == 3
    Latents(paths, vae, "stretch")
    assert encoded == 6
    other = AutoencoderKL.from_pretrained(sd1 / "vae")
    with torch.no_grad():
        other.quant_conv.bias += 1
    assert not torch.allclose(Latents(paths, other).at([0, 2]), first)


def test_a_damaged_cache_is_replaced(paths: list[Path], vae: AutoencoderKL) -> None:
    latents = Latents(paths, vae)
    expected = latents.at([0, 1, 2])
    database = cache_folder() / "latents.sqlite"
    assert database.is_file()
    for path in database.parent.glob("latents.sqlite*"):
        path.write_bytes(b"\xff" * 20_000)
    assert torch.equal(latents.at([0, 1, 2]), expected)
    assert torch.equal(Latents(paths, vae).at([0, 1, 2]), expected)


@pytest.mark.parametrize("cached", [True, False])
def test_unreadable_pictures_are_reported(
    paths: list[Path], vae: AutoencoderKL, tmp_path: Path, cached: bool
) -> None:
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes(paths[0].read_bytes()[:2000])
    text = tmp_path / "text.jpg"
    text.write_text("not a picture", encoding="utf-8")
    latents = Latents([truncated, *paths, text, tmp_path / "gone.png"], vae, cached=cached)
    assert sorted(latents.problems) == [0, 4, 5]
    assert all("its picture cannot be read: " in text for text in latents.problems.values())
    assert latents.at([1, 3]).shape == (2, 2, 4, 8, 8)


def colors(view: Tensor) -> str:
    """The brightest channel by column, without repetitions."""
    names = ["rgb"[channel] for channel in view.mean(1).argmax(0).tolist()]
    return "".join(name for i, name in enumerate(names) if i == 0 or names[i - 1] != name)


@pytest.mark.parametrize(
    ("crop", "expected"),
    [("stretch", ["rgb"]), ("center", ["g"]), ("random", ["r", "rg", "gb", "b"])],
)
def test_views_of_a_wide_picture(crop: Crop, expected: list[str]) -> None:
    views = make_views(as_png(STRIPES), (64, 64), crop)
    assert views.shape == (len(expected), 3, 64, 64)
    assert [colors(view) for view in views] == expected
    assert -1 <= float(views.min()) <= float(views.max()) <= 1
    assert make_views(as_png(STRIPES), (32, 96), crop).shape == (1, 3, 32, 96)


def test_flip_adds_mirrored_views(vae: AutoencoderKL) -> None:
    views = Encoder(vae=vae, size=(64, 64), crop="random", flip=True).views(as_png(STRIPES))
    assert [colors(view) for view in views] == ["r", "rg", "gb", "b", "r", "gr", "bg", "b"]
    assert torch.equal(views[4:], views[:4].flip(-1))


def test_flipped_pictures_have_their_own_latents(paths: list[Path], vae: AutoencoderKL) -> None:
    """The latents of a mirrored picture are not the mirrored latents."""
    plain = Latents(paths, vae).at([0])
    flipped = Latents(paths, vae, flip=True).at([0, 0, 0], [0.0, 0.49, 0.5])
    assert torch.equal(flipped[:2], plain.expand(2, -1, -1, -1, -1))
    pixels = torch.from_numpy(np.array(Image.open(paths[0]))).permute(2, 0, 1) / 127.5 - 1
    expected = vae.encode(pixels.flip(-1)[None]).latent_dist.mean
    torch.testing.assert_close(flipped[2:, 0], expected, rtol=2e-3, atol=2e-3)
    assert not torch.allclose(flipped[2:, 0], plain[:, 0].flip(-1), atol=1e-2)


def test_views_that_do_not_fit_in_memory_are_encoded_in_parts(
    vae: AutoencoderKL, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = torch.rand(7, 3, 64, 64)
    expected = Encoder(vae=vae, size=(64, 64), crop="center").encode(views)
    encode, sizes = vae.encode, []

    def limited(pixels: Tensor) -> object:
        sizes.append(len(pixels))
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encode(pixels)

    monkeypatch.setattr(vae, "encode", limited)
    encoder = Encoder(vae=vae, size=(64, 64), crop="center", views_at_once=5)
    torch.testing.assert_close(encoder.encode(views), expected, rtol=1e-4, atol=1e-5)
    assert sizes == [5, 2, 2, 2, 1]


@pytest.mark.parametrize("cached", [True, False])
def test_the_position_selects_a_view(
    vae: AutoencoderKL, tmp_path: Path, paths: list[Path], cached: bool
) -> None:
    (tmp_path / "stripes.png").write_bytes(as_png(STRIPES))
    latents = Latents([tmp_path / "stripes.png", paths[0]], vae, "random", cached=cached)
    found = latents.at([0] * 6, [0.0, 0.2, 0.3, 0.6, 0.8, 0.999])
    same = [bool(torch.allclose(found[i], found[i + 1], atol=1e-6)) for i in range(5)]
    assert same == [True, False, False, False, True]
    assert latents.at([1], [0.9]).shape == (1, 2, 4, 8, 8)  # a square picture has one view


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    upright = make_views(as_png(STRIPES, exif=exif), (96, 32), "center")[0]
    assert colors(upright.mT) == "rgb"  # from top to bottom
