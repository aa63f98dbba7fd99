"""Titles are broken where a reader would pause, into lines of similar length."""

import pytest

from covergen.typography.line_breaking import balanced, filled, joined, units


def lines(text: str, count: int) -> list[str]:
    """The lines, if every character is equally wide."""
    return balanced(units(text), count, len)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Dark Side of the Moon", ["The Dark Side", "of the Moon"]),
        ("A Love Supreme", ["A Love", "Supreme"]),
        ("Symphony No. 9 in D minor", ["Symphony No. 9", "in D minor"]),
        ("Piano Sonatas, Op. 111", ["Piano Sonatas,", "Op. 111"]),
        ("Cantatas BWV 140 & 147", ["Cantatas", "BWV 140 & 147"]),
        ("Trans-Europa Express", ["Trans-Europa", "Express"]),
        ("Speakerboxxx/The Love Below", ["Speakerboxxx/", "The Love Below"]),
        ("Selected Ambient Works 85–92", ["Selected Ambient", "Works 85–92"]),
        ("東京の夜、雨の朝", ["東京の夜、", "雨の朝"]),
        ("「東京」の夜に消えた", ["「東京」の", "夜に消えた"]),
        ("أغاني الحب والحرب", ["أغاني الحب", "والحرب"]),
    ],
)
def test_two_lines(text: str, expected: list[str]) -> None:
    assert lines(text, 2) == expected


def test_lines_keep_every_word() -> None:
    title = "The Rise and Fall of Ziggy Stardust and the Spiders from Mars"
    for count in range(1, 8):
        broken = lines(title, count)
        assert len(broken) == count
        assert " ".join(broken) == title


def test_one_word_is_one_line() -> None:
    assert lines("Supercalifragilistic", 3) == ["Supercalifragilistic"]


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    title = "When the Pawn Hits the Conflicts He Thinks Like a King"
    assert filled(units(title), 2, 20, len) == ["When the Pawn Hits", "the Conflicts He…"]
    assert filled(units(title), 9, 20, len)[-1] == "Thinks Like a King"


def test_a_word_wider_than_a_line_is_divided() -> None:
    word = "Supercalifragilisticexpialidocious"
    assert "".join(filled(units(word), 9, 10, len)) == word
    assert filled(units(word), 1, 10, len) == ["Supercali…"]


def test_a_hyphen_after_one_letter_does_not_end_a_line() -> None:
    assert [unit.text for unit in units("K-Pop co-op")] == ["K-Pop", "co-", "op"]
    assert joined(units("K-Pop co-op")) == "K-Pop co-op"
