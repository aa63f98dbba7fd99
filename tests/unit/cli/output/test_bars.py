"""What stands at the end of a bar."""

import pytest

from covergen.cli.output.bars import pace


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (0.0, ""),
        (1 / 12.41, ", 12.4 s/album"),
        (1.0, ", 1.0 albums/s"),
        (4310.2, ", 4,310.2 albums/s"),
    ],
)
def test_a_pace_has_the_larger_number(rate: float, told: str) -> None:
    assert pace(rate, "album") == told
