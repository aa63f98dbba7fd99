"""Line charts over training steps, as SVG coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MAX_POINTS = 600  # more than a screen can show
_WINDOW_SHARE = 1 / 15  # of the steps, for the moving mean
_MIN_TICKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A tick on an axis. `at`: 0 to 100, from the left or from the top."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Polylines in a 100 by 100 square with y pointing down, in the format of SVG's `points`.

    `raw` draws the unsmoothed values, "" if `line` already does; `end` is the last point of `line`.
    """

    line: str
    raw: str
    end: tuple[float, float]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def make_chart(steps: Sequence[int], values: Sequence[float], *, smooth: bool) -> Chart:
    """Draw at least one value. With `smooth`, the line is the moving mean of the values."""
    x = np.asarray(steps, dtype=np.float64)
    raw = np.asarray(values, dtype=np.float64)
    line = _moving_mean(raw, max(1, round(len(raw) * _WINDOW_SHARE))) if smooth else raw
    left, right = float(min(x[0], 0)), float(max(x[-1], 1))
    # Outliers, such as the first steps, must not flatten the rest of the curve.
    low, high = _range(np.quantile(raw, [0.02, 0.98]) if smooth else raw)
    x_percent = (x - left) / (right - left) * 100
    return Chart(
        line=_points(x_percent, _to_y(line, low, high)),
        raw=_points(x_percent, _to_y(raw, low, high)) if smooth else "",
        end=(float(x_percent[-1]), float(_to_y(line[-1:], low, high)[0])),
        x_ticks=tuple(
            Tick(at=(tick - left) / (right - left) * 100, label=f"{tick:,.0f}")
            for tick in _round_numbers(left, right)
            if tick == int(tick)
        ),
        y_ticks=tuple(
            Tick(at=(high - tick) / (high - low) * 100, label=f"{tick:.4g}")
            for tick in _round_numbers(low, high)
        ),
    )


def _moving_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The mean of up to `window` values that end at each value."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _to_y(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return (high - values) / (high - low) * 100


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    indices = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MAX_POINTS)).round().astype(int))
    return " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x[indices], y[indices], strict=True))


def _round_numbers(low: float, high: float) -> list[float]:
    """At least three round numbers in [low, high]: multiples of 1, 2 or 5 times 10**n."""
    power = 10.0 ** np.ceil(np.log10(high - low))
    steps = (multiple * power / 10**n for n in range(3) for multiple in (1, 0.5, 0.2))
    for step in steps:
        numbers = range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)
        if len(numbers) >= _MIN_TICKS:
            break
    return [float(f"{number * step:.10g}") for number in numbers]
