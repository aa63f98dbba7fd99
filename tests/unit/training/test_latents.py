"""Pictures to latents: what diffusers' VAE itself gives, from which part of them, kept how long."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from covergen.core.errors import Interrupted
from covergen.core.paths import cache_folder
from covergen.training.events import PictureEncoded
from covergen.training.latents import Encoder, from_array, from_pictures
from covergen.training.pictures import make_views
from covergen.training.recipe import Crop

# Left to right: red, green, blue.
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
    found = []
    for number, shape in enumerate([(64, 64, 3), (64, 128, 3), (128, 64, 3)]):
        found.append(tmp_path / f"{number}.png")
        found[-1].write_bytes(as_png(rng.integers(0, 256, shape, dtype=np.uint8)))
    return found


class Read:
    """`from_pictures`, with what was told; the latents at `places` of every picture."""

    def __init__(
        self,
        paths: Sequence[Path],
        vae: AutoencoderKL,
        crop: Crop = "center",
        *,
        cached: bool = True,
    ) -> None:
        self.events: list[Any] = []
        encoder = Encoder(vae=vae, size=(64, 64), crop=crop)
        self.latents, self.problems = from_pictures(
            paths, encoder, cached=cached, emit=self.events.append, checkpoint=lambda: None
        )

    def at(self, picks: Sequence[int], places: Sequence[float]) -> Tensor:
        return self.latents(np.array(picks, dtype=np.intp), np.array(places)).float()


@pytest.fixture
def encoded(vae: AutoencoderKL, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures the VAE has encoded, call by call."""
    counts: list[int] = []
    encode = vae.encode

    def counting(pixels: Tensor) -> object:
        counts.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(vae, "encode", counting)
    return counts


@pytest.mark.parametrize("cached", [True, False])
def test_they_are_the_vaes_own(paths: list[Path], vae: AutoencoderKL, cached: bool) -> None:
    read = Read(paths, vae, cached=cached)
    found = read.at([0, 2], [0.5, 0.5])
    square, tall = (np.array(Image.open(paths[i])) for i in (0, 2))
    pixels = torch.from_numpy(np.stack([square, tall[32:96]])).permute(0, 3, 1, 2) / 127.5 - 1
    expected = vae.encode(pixels).latent_dist
    torch.testing.assert_close(found[:, 0], expected.mean, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(found[:, 1], expected.std, rtol=2e-3, atol=1e-6)
    assert read.problems == {}
    assert [e.done for e in read.events if isinstance(e, PictureEncoded)] == [1, 2, 3]


def test_a_picture_is_encoded_once_and_for_all(
    paths: list[Path], vae: AutoencoderKL, encoded: list[int]
) -> None:
    first = Read(paths, vae)
    assert sum(encoded) == 3
    again = Read([paths[2], paths[0]], vae)
    assert torch.equal(first.at([0, 2], [0, 0]), again.at([1, 0], [0, 0]))
    assert sum(encoded) == 3
    Read(paths, vae, "stretch")
    assert sum(encoded) == 6


def test_another_vae_encodes_anew(paths: list[Path], vae: AutoencoderKL, sd1: Path) -> None:
    other = AutoencoderKL.from_pretrained(sd1 / "vae")
    with torch.no_grad():
        other.quant_conv.bias += 1
    found = [Read(paths, which).at([0], [0]) for which in (vae, other, vae)]
    assert torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], found[1])


def test_a_damaged_cache_only_costs_time(paths: list[Path], vae: AutoencoderKL) -> None:
    read = Read(paths, vae)
    expected = read.at([0, 1, 2], [0, 0, 0])
    database = cache_folder() / "latents.sqlite"
    assert database.is_file()
    for path in database.parent.glob("latents.sqlite*"):
        path.write_bytes(b"\xff" * 20_000)
    assert torch.equal(read.at([0, 1, 2], [0, 0, 0]), expected)
    assert torch.equal(Read(paths, vae).at([0, 1, 2], [0, 0, 0]), expected)


def test_what_cannot_be_read_is_told(paths: list[Path], vae: AutoencoderKL, tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(paths[0].read_bytes()[:2000])
    text = tmp_path / "text.jpg"
    text.write_text("no picture", encoding="utf-8")
    for cached in (True, False):
        read = Read([cut, *paths, text, tmp_path / "gone.png"], vae, cached=cached)
        assert sorted(read.problems) == [0, 4, 5]
        assert all("its picture cannot be read: " in said for said in read.problems.values())
        assert read.at([1, 3], [0, 0]).shape == (2, 2, 4, 8, 8)


def test_an_interruption_is_passed_on(paths: list[Path], vae: AutoencoderKL) -> None:
    def stop() -> None:
        raise Interrupted

    encoder = Encoder(vae=vae, size=(64, 64), crop="center")
    with pytest.raises(Interrupted):
        from_pictures(paths, encoder, cached=True, emit=lambda _: None, checkpoint=stop)


def colors(view: Tensor) -> str:
    """The channel that is brightest, column by column, and then each only once."""
    names = ["rgb"[channel] for channel in view.mean(1).argmax(0).tolist()]
    return "".join(name for i, name in enumerate(names) if i == 0 or names[i - 1] != name)


def test_views() -> None:
    """Stripes three times as wide as high: each square view sees one stripe, or two halves."""
    data = as_png(STRIPES)
    stretched = make_views(data, (64, 64), "stretch")
    assert (stretched.shape, colors(stretched[0])) == ((1, 3, 64, 64), "rgb")
    center = make_views(data, (64, 64), "center")
    assert (center.shape, colors(center[0])) == ((1, 3, 64, 64), "g")
    views = make_views(data, (64, 64), "random")
    assert [colors(view) for view in views] == ["r", "rg", "gb", "b"]
    assert make_views(data, (32, 96), "random").shape == (1, 3, 32, 96)
    assert float(views.min()) >= -1
    assert float(views.max()) <= 1


def test_a_random_place_is_one_of_the_views(
    vae: AutoencoderKL, tmp_path: Path, paths: list[Path]
) -> None:
    (tmp_path / "stripes.png").write_bytes(as_png(STRIPES))
    for cached in (True, False):
        read = Read([tmp_path / "stripes.png", paths[0]], vae, "random", cached=cached)
        found = read.at([0] * 6, [0.0, 0.2, 0.3, 0.6, 0.8, 0.999])
        same = [bool(torch.allclose(found[i], found[i + 1], atol=1e-6)) for i in range(5)]
        assert same == [True, False, False, False, True]
        assert read.at([1], [0.9]).shape == (1, 2, 4, 8, 8)  # a square has one view


def test_a_picture_is_seen_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right
    turned = as_png(STRIPES, exif=exif)
    upright = make_views(turned, (96, 32), "center")[0]
    assert colors(upright.mT) == "rgb"  # from top to bottom


def test_latents_at_hand() -> None:
    array = np.random.default_rng(0).standard_normal((5, 2, 4, 8, 8)).astype(np.float16)
    found = from_array(array)(np.array([3, 1], dtype=np.intp), np.zeros(2))
    assert np.array_equal(found.numpy(), array[[3, 1]])
