"""The rate at the end of a progress bar."""

import pytest

from covergen.cli.output.bars import pace


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (0.0, ""),
        (1 / 12.41, ", 12.4 s/album"),
        (1.0, ", 1.0 albums/s"),
        (4310.2, ", 4,310.2 albums/s"),
    ],
)
def test_pace_is_per_second_or_per_item(rate: float, expected: str) -> None:
    assert pace(rate, "album") == expected
