"""The length of CLAP's windows, and their positions in a track.

A track of D seconds has N windows, centered at (i + 1/2) / N of D and moved inwards until they fit;
never more than needed to cover the track once. So the one window of a 10 s file is the whole file.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


SAMPLE_RATE_HZ = 48_000
WINDOW_SECONDS = 10
WINDOW_SAMPLES = WINDOW_SECONDS * SAMPLE_RATE_HZ  # 480,000


def place_windows(duration: Fraction, count: int) -> list[Fraction]:
    """Return the start times of a track's windows. All times are in seconds."""
    count = min(count, max(1, math.ceil(duration / WINDOW_SECONDS)))
    latest = max(duration - WINDOW_SECONDS, Fraction(0))
    centers = (duration * (2 * i + 1) / (2 * count) for i in range(count))
    return [min(max(c - Fraction(WINDOW_SECONDS, 2), Fraction(0)), latest) for c in centers]


def repeat_window(window: NDArray[np.float32], filled: int) -> None:
    """Repeat the first `filled` samples in place, as ClapFeatureExtractor's "repeatpad" does."""
    times = window.size // filled
    window[filled : times * filled] = np.tile(window[:filled], times - 1)
