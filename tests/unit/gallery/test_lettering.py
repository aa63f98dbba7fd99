"""Lines in any script: in the fonts there are, spelled out where there are none, never boxes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from covergen.gallery.fonts import read_faces
from covergen.gallery.lettering import Lettering
from tests.unit.gallery.made_fonts import make_bitmap_font, make_font, make_layered_font

needs_raqm = pytest.mark.skipif(
    not features.check("raqm"), reason="Pillow finds no libraqm or no libfribidi"
)

_LATIN = {chr(code): 400 + code for code in range(0x21, 0x7F)} | {"…": 100}


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    """A folder of fonts, the first of which knows ASCII alone."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    make_font(folder / "a.ttf", _LATIN)
    return folder


def drawn(text: str, folders: Iterable[Path], *, width: int = 600) -> NDArray[np.uint8]:
    """The line in white on black, 20 pixels to the em, 600 pixels wide."""
    image = Image.new("RGB", (600, 50))
    lettering = Lettering(read_faces(folders))
    lettering.draw(image, (0, 40), text, size=20, width=width, color="#ffffff")
    return np.asarray(image)


def same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    assert one.any()
    return bool(np.array_equal(one, other))


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("東京", "…"),
        ("はる", "haru"),
        ("東京の人々", "…no…"),
        ("Привет", "Privet"),
        ("Ágætis", "Agaetis"),
        ("서울", "SeoUl"),
        ("😀", ":grinning:"),
        ("A 東京 B", "A … B"),
        ("end\U000e0000\U0010ffff", "end"),
    ],
)
def test_what_no_font_has_is_spelled_out(fonts: Path, text: str, spelled: str) -> None:
    assert same(drawn(text, [fonts]), drawn(spelled, [fonts]))
    assert same(drawn(text, []), drawn(spelled, []))


def test_each_character_comes_from_the_first_font_that_has_it(fonts: Path) -> None:
    make_font(fonts / "b.ttf", {"Ж": 600})
    make_font(fonts / "c.ttf", {"Ж": 200, "東": 300})
    of_ascii = {height: chr(height - 400) for height in (450, 500)}
    line = drawn(f"Ж{of_ascii[450]}東", [fonts])
    columns = [(line[:, x, 0] > 128).sum() for x in (3, 11, 19)]  # 0.4 em is 8 pixels
    assert columns == pytest.approx([12, 9, 6], abs=1)


def test_upright_fonts_come_before_bold_and_slanted_ones(fonts: Path) -> None:
    for name in ("0-bold.ttf", "1-Italic.ttf", "2-Condensed.ttf"):
        make_font(fonts / name, {"Ж": 200})
    make_font(fonts / "z-Regular.ttf", {"Ж": 600})
    assert (drawn("Ж", [fonts])[:, 3, 0] > 128).sum() == pytest.approx(12, abs=1)


def test_damaged_fonts_are_passed_over(fonts: Path) -> None:
    whole = (fonts / "a.ttf").read_bytes()
    for name, content in {
        "0.ttf": b"",
        "1.otf": b"no font at all",
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
def test_scripts_from_right_to_left_run_so(tmp_path: Path) -> None:
    make_font(tmp_path / "a.ttf", {"A": 400, "Z": 800, "א": 400, "ב": 800})
    assert same(drawn("אב", [tmp_path]), drawn("ZA", [tmp_path]))
    assert same(drawn("Aאב", [tmp_path]), drawn("AZA", [tmp_path]))
    assert not same(drawn("AZ", [tmp_path]), drawn("ZA", [tmp_path]))


@needs_raqm
def test_a_line_from_right_to_left_in_several_fonts_runs_so_too(tmp_path: Path) -> None:
    make_font(tmp_path / "a.ttf", {"A": 400, "א": 400})
    make_font(tmp_path / "b.ttf", {"Z": 800, "ב": 800})
    assert same(drawn("אב", [tmp_path]), drawn("ZA", [tmp_path]))


def test_without_shaping_they_are_spelled_out(fonts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_font(fonts / "b.ttf", {"א": 300, "ב": 300, "ש": 300})
    monkeypatch.setattr(features, "check", lambda _: False)
    assert same(drawn("שב", [fonts]), drawn("sb", [fonts]))


@pytest.mark.parametrize(
    "text",
    ["a\nb\tc", "  a   b c ", "a\u202e b\u200b \u00adc", "a\x00 b\x1b c\ud800", "a\u3000b\u2028c"],
)
def test_a_line_is_one_line_of_what_can_be_seen(fonts: Path, text: str) -> None:
    assert same(drawn(text, [fonts]), drawn("a b c", [fonts]))


def test_letters_and_their_marks_stay_together(fonts: Path) -> None:
    make_font(fonts / "b.ttf", {"é": 600, "\u0301": 900})
    assert same(drawn("e\u0301", [fonts]), drawn("é", [fonts]))


def test_what_is_too_long_ends_in_an_ellipsis(fonts: Path) -> None:
    # Each character reaches 8 pixels: 20 fit into 160, or 19 and the ellipsis.
    assert same(drawn("A" * 20, [fonts], width=160), drawn("A" * 20, [fonts]))
    assert same(drawn("A" * 21, [fonts], width=160), drawn("A" * 19 + "…", [fonts]))
    assert same(drawn("A" * 1_000_000, [fonts], width=160), drawn("A" * 19 + "…", [fonts]))
    assert same(drawn("Ж" * 50, [fonts], width=160), drawn("Zh" * 9 + "…", [fonts]))


@pytest.mark.parametrize("make", [make_layered_font, make_bitmap_font])
def test_emoji_are_coloured_where_a_font_is(fonts: Path, make: object) -> None:
    red = (255, 0, 0) if make is make_bitmap_font else (1.0, 0.0, 0.0)
    make_font(fonts / "b.ttf", {"😀": 600, "☺": 600})
    make(fonts / "c.ttf", "😀", red)  # type: ignore[operator]  # a font's maker
    line = drawn("A😀☺A", [fonts]).astype(int)
    reds = np.count_nonzero((line[..., 0] > 200) & (line[..., 1] < 50))
    assert reds > 40
    height = np.flatnonzero(((line[..., 0] > 200) & (line[..., 1] < 50)).any(axis=1))
    assert 8 <= height.size <= 21
    whites = (line.min(axis=-1) > 200).any(axis=0)
    assert whites[:8].any()
    assert whites[-1:].any() or whites[16:].any()


@pytest.mark.parametrize(
    "text",
    [
        "Kind of Blue",
        "東京の夜明け",
        "서울의 달",
        "أغاني البحر",
        "שיר לשלום",
        "Мои песни",
        "अंधेरी रात",
        "ค่ำคืน",
        "🎵👩‍🚀🏳️‍🌈🇯🇵❤️",
    ],
)
def test_whatever_is_installed_here_something_is_drawn(text: str) -> None:
    image = Image.new("RGB", (400, 60))
    Lettering().draw(image, (0, 40), text, size=20, width=400, color="#ffffff")
    assert image.getbbox() is not None


def test_empty_and_unseen_text_draws_nothing(fonts: Path) -> None:
    for text in ("", " ", "\u200b", "\x00"):
        assert not drawn(text, [fonts]).any()
