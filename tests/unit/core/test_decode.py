"""Reading back a cover that `encode` wrote."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from covergen.core.picture import Encoding, decode, encode
from covergen.core.types import Cover, Provenance

_PROVENANCE = Provenance(
    version="1", model="mödel", base="b", clap="c", adapter="a", windows=3, seed=2**63 - 1,
    steps=20, guidance=7.5, scheduler="ddim", album_key="k",
)  # fmt: skip
_PIXELS = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
_DATA = encode(Cover(pixels=_PIXELS, provenance=_PROVENANCE), Encoding()).data


def test_cover_round_trips() -> None:
    cover = decode(_DATA)
    assert np.array_equal(cover.pixels, _PIXELS)
    assert cover.provenance == _PROVENANCE
    assert encode(cover, Encoding()).data == _DATA


def _is_rejected_or_unchanged(data: bytes) -> bool:
    try:
        cover = decode(data)
    except ValueError:
        return True
    return np.array_equal(cover.pixels, _PIXELS) and cover.provenance == _PROVENANCE


def test_damaged_data_never_gives_another_picture() -> None:
    random = np.random.default_rng(1)
    for position in random.integers(0, len(_DATA), 300):
        data = bytearray(_DATA)
        data[position] ^= 1 << int(random.integers(8))
        assert _is_rejected_or_unchanged(bytes(data))
        assert _is_rejected_or_unchanged(_DATA[:position])
    with pytest.raises(ValueError, match="not a complete PNG"):
        decode(_DATA[: len(_DATA) // 2])


def _png(**texts: str) -> bytes:
    chunks, stream = PngInfo(), io.BytesIO()
    for name, value in texts.items():
        chunks.add_itxt(name, value, zip=True)
    Image.new("RGB", (16, 16)).save(stream, "PNG", pnginfo=chunks)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_png(), "lacks"),
        (_png(**{**_PROVENANCE.as_texts(), "covergen:seed": "many"}), "many"),
        (_png(bomb="0" * 50_000_000), "not a complete PNG"),
        (_DATA[:16] + (70_000).to_bytes(4) * 2 + _DATA[24:], "70000 × 70000"),
    ],
    ids=["foreign", "not a number", "text bomb", "pixel bomb"],
)
def test_other_pictures_are_rejected(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(data)
