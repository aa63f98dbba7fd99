"""Lines in any script, with the available fonts or transliterated, never as boxes."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from covergen.gallery.fonts import read_faces
from covergen.gallery.lettering import Lettering
from tests.unit.gallery.made_fonts import make_bitmap_font, make_font, make_layered_font

needs_raqm = pytest.mark.skipif(
    not features.check("raqm"), reason="Pillow has no libraqm or libfribidi"
)

_LATIN = {chr(code): 400 + code for code in range(0x21, 0x7F)} | {"…": 100}


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    """A folder of fonts, the first of which has only ASCII."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    make_font(folder / "a.ttf", _LATIN)
    return folder


def drawn(text: str, folders: Iterable[Path], *, width: int = 600) -> NDArray[np.uint8]:
    """The line in white on black, at 20 pixels per em, 600 pixels wide."""
    image = Image.new("RGB", (600, 50))
    lettering = Lettering(read_faces(folders))
    lettering.draw(image, (0, 40), text, size=20, width=width, color="#ffffff")
    return np.asarray(image)


def same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    assert one.any()
    return bool(np.array_equal(one, other))


@pytest.mark.parametrize(
    ("text", "transliterated"),
    [
        ("東京", "…"),
        ("はる", "haru"),
        ("東京の人々", "…no…"),
        ("Привет", "Privet"),
        ("Ágætis", "Agaetis"),
        ("😀", ":grinning:"),
        ("A 東京 B", "A … B"),
        ("end\U000e0000\U0010ffff", "end"),
    ],
)
def test_characters_without_a_font_are_transliterated(
    fonts: Path, text: str, transliterated: str
) -> None:
    assert same(drawn(text, [fonts]), drawn(transliterated, [fonts]))
    assert same(drawn(text, []), drawn(transliterated, []))


def test_first_font_with_the_character_is_used(fonts: Path) -> None:
    make_font(fonts / "b.ttf", {"Ж": 600})
    make_font(fonts / "c.ttf", {"Ж": 200, "東": 300})
    line = drawn(f"Ж{chr(450 - 400)}東", [fonts])
    columns = [(line[:, x, 0] > 128).sum() for x in (3, 11, 19)]  # 0.4 em is 8 pixels
    assert columns == pytest.approx([12, 9, 6], abs=1)


def test_damaged_fonts_are_skipped(fonts: Path) -> None:
    whole = (fonts / "a.ttf").read_bytes()
    for name, content in {
        "0.ttf": b"",
        "1.otf": b"not a font",
        "2.ttc": whole[:200],
        "3.ttf": whole[: len(whole) // 2],
        "4.ttf": bytes(1000),
        "5.txt": whole,
    }.items():
        (fonts / name).write_bytes(content)
    (fonts / "6.ttf").mkdir()
    (fonts / "7.ttf").symlink_to("nowhere")
    assert same(drawn("Hello Ж", [fonts]), drawn("Hello Zh", [fonts]))
    assert len(list(read_faces([fonts, fonts / "none"]))) == 1


@needs_raqm
def test_right_to_left_scripts(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    make_font(one / "a.ttf", {"A": 400, "Z": 800, "א": 400, "ב": 800})
    assert same(drawn("אב", [one]), drawn("ZA", [one]))
    assert same(drawn("Aאב", [one]), drawn("AZA", [one]))
    assert not same(drawn("AZ", [one]), drawn("ZA", [one]))
    make_font(two / "a.ttf", {"A": 400, "א": 400})
    make_font(two / "b.ttf", {"Z": 800, "ב": 800})
    assert same(drawn("אב", [two]), drawn("ZA", [two]))


def test_right_to_left_scripts_are_transliterated_without_raqm(
    fonts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_font(fonts / "b.ttf", {"א": 300, "ב": 300, "ש": 300})
    monkeypatch.setattr(features, "check", lambda _: False)
    assert same(drawn("שב", [fonts]), drawn("sb", [fonts]))


@pytest.mark.parametrize(
    "text",
    ["a\nb\tc", "  a   b c ", "a\u202e b\u200b \u00adc", "a\x00 b\x1b c\ud800", "a\u3000b\u2028c"],
)
def test_control_characters_and_line_breaks_are_removed(fonts: Path, text: str) -> None:
    assert same(drawn(text, [fonts]), drawn("a b c", [fonts]))


def test_combining_marks_stay_with_their_letters(fonts: Path) -> None:
    make_font(fonts / "b.ttf", {"é": 600, "\u0301": 900})
    assert same(drawn("e\u0301", [fonts]), drawn("é", [fonts]))


def test_long_text_ends_in_an_ellipsis(fonts: Path) -> None:
    # Each character is 8 pixels wide: 20 fit into 160, or 19 and the ellipsis.
    assert same(drawn("A" * 20, [fonts], width=160), drawn("A" * 20, [fonts]))
    assert same(drawn("A" * 21, [fonts], width=160), drawn("A" * 19 + "…", [fonts]))
    assert same(drawn("A" * 1_000_000, [fonts], width=160), drawn("A" * 19 + "…", [fonts]))
    assert same(drawn("Ж" * 50, [fonts], width=160), drawn("Zh" * 9 + "…", [fonts]))


@pytest.mark.parametrize(
    ("make", "red"), [(make_layered_font, (1.0, 0.0, 0.0)), (make_bitmap_font, (255, 0, 0))]
)
def test_emoji_use_a_colored_font(
    fonts: Path, make: Callable[[Path, str, Any], Path], red: tuple[float, float, float]
) -> None:
    make_font(fonts / "b.ttf", {"😀": 600, "☺": 600})
    make(fonts / "c.ttf", "😀", red)
    line = drawn("A😀☺A", [fonts]).astype(int)
    is_red = (line[..., 0] > 200) & (line[..., 1] < 50)
    assert np.count_nonzero(is_red) > 40
    assert 8 <= np.flatnonzero(is_red.any(axis=1)).size <= 21
    is_white = (line.min(axis=-1) > 200).any(axis=0)
    assert is_white[:8].any()
    assert is_white[16:].any()


def test_installed_fonts_draw_something_in_every_script() -> None:
    lettering = Lettering()
    for text in (
        "Kind of Blue", "東京の夜明け", "서울의 달", "أغاني البحر", "שיר לשלום", "Мои песни",
        "अंधेरी रात", "ค่ำคืน", "🎵👩‍🚀🏳️‍🌈🇯🇵❤️",
    ):  # fmt: skip
        image = Image.new("RGB", (400, 60))
        lettering.draw(image, (0, 40), text, size=20, width=400, color="#ffffff")
        assert image.getbbox() is not None, text


@pytest.mark.parametrize(
    ("text", "drawable"),
    [("Low", "Low"), ("Low 😀", "Low"), ("A \u25a0 B", "A B"), ("東京 1", ""), ("Ágætis", "")],
)
def test_only_symbols_are_left_out_of_a_drawable_text(
    fonts: Path, text: str, drawable: str
) -> None:
    assert Lettering(read_faces([fonts])).drawable(text) == drawable


def test_bounds_are_those_of_what_is_drawn(fonts: Path) -> None:
    lettering = Lettering(read_faces([fonts]))
    image = Image.new("RGB", (200, 80))
    lettering.draw(image, (20, 60), "aZ", size=40, color="#ffffff")
    left, top, right, bottom = image.getbbox() or (0, 0, 0, 0)
    expected = np.add((20, 60, 20, 60), lettering.bounds("aZ", 40))
    assert np.abs(expected - (left, top, right, bottom)).max() <= 1
