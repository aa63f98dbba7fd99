import numpy as np
import pytest

from covergen.poster.painter.features import features


def disc(radius: float, size: int = 256) -> np.ndarray:
    y, x = np.indices((size, size)) / size - 0.5
    return np.where((np.hypot(x, y) < radius)[..., None], 255, 20).repeat(3, -1).astype(np.uint8)


def test_a_flat_picture_has_a_color_but_no_contrast_or_edges() -> None:
    red = np.full((128, 128, 3), (255, 0, 0), np.uint8)
    found = features(red)
    assert found.lightness == pytest.approx(53.24, abs=0.1)
    assert found.chroma == pytest.approx(104.55, abs=0.2)
    assert found.a == pytest.approx(80.09, abs=0.1)
    assert found.b == pytest.approx(67.20, abs=0.1)
    assert found.contrast == pytest.approx(0, abs=1e-3)
    assert found.edge_density == pytest.approx(-7)  # log2 of the floor, one 128th


def test_contrast_is_the_standard_deviation_of_lightness() -> None:
    halves = np.zeros((128, 128, 3), np.uint8)
    halves[:, 64:] = 255
    assert features(halves).contrast == pytest.approx(50, abs=0.1)


def test_element_scale_is_the_log2_of_relative_size() -> None:
    small, large, fine = (
        features(disc(radius, size)).element_scale
        for radius, size in ((0.1, 256), (0.2, 256), (0.2, 512))
    )
    assert large - small == pytest.approx(1, abs=0.1)
    assert fine == pytest.approx(large, abs=0.05)


def test_edge_density_is_proportional_to_the_number_of_stripes() -> None:
    def striped(period: int) -> np.ndarray:
        columns = np.arange(256) // (period // 2) % 2 * 255
        return np.broadcast_to(columns[None, :, None], (256, 256, 3)).astype(np.uint8)

    few, many = (2 ** features(striped(period)).edge_density - 1 / 128 for period in (64, 32))
    assert many / few == pytest.approx(2, rel=0.2)
