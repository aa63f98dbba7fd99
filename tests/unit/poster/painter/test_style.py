import numpy as np
import pytest

from covergen.poster.attributes import draw_attributes
from covergen.poster.painter import COMPOSITIONS, FAMILIES, paint, parse_style


def caption(style: str, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return paint(draw_attributes(rng), rng, size=64, style=style, grain=False).caption.split(", ")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_style_selects_any_composition_of_its_family(family: str) -> None:
    for seed, composition in enumerate(COMPOSITIONS[family]):
        assert {family, composition} <= {*caption(f"{family}, {composition}", seed)[:3]}


@pytest.mark.parametrize("style", ["Swiss geometry, centred,  arcs", "flow field,CENTRED,whirl"])
def test_a_style_centers_the_figure(style: str) -> None:
    expected = sorted(part.strip() for part in style.lower().split(","))
    assert [sorted(caption(style, seed)[:3]) for seed in range(5)] == [expected] * 5


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("", "Available styles: swiss geometry, "),
        ("watercolor", "Available styles: swiss geometry, "),
        ("cut paper, arcs", "'cut paper' can be followed by one of waves, tunnel"),
        ("cut paper, waves, tunnel", "'cut paper' can be followed by one of waves, tunnel"),
        ("cut paper, navy", "'cut paper' can be followed by one of waves, tunnel"),
    ],
)
def test_an_unknown_style_is_an_error_that_lists_the_words(style: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_style(style)
