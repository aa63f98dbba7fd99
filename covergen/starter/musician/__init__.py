"""The procedural musician: synthesizes music with known attributes, using numpy only.

A piece is composed (`score`, using `harmony` and `rhythm`), played on instruments drawn from a set
(`training_instruments` or `held_out_instruments`, built on `tones`) and mixed (`mix`, `effects`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.starter.musician.held_out_instruments import HELD_OUT
from covergen.starter.musician.instruments import InstrumentSet
from covergen.starter.musician.mix import perform
from covergen.starter.musician.recording import augment
from covergen.starter.musician.score import compose
from covergen.starter.musician.tones import SAMPLE_RATE_HZ
from covergen.starter.musician.training_instruments import TRAINING

if TYPE_CHECKING:
    import numpy as np

    from covergen.poster.attributes import Attributes
    from covergen.starter.musician.tones import Samples

__all__ = ["HELD_OUT", "SAMPLE_RATE_HZ", "TRAINING", "InstrumentSet", "augment", "play"]


def play(
    attributes: Attributes,
    rng: np.random.Generator,
    *,
    seconds: float = 12.0,
    instruments: InstrumentSet = TRAINING,
) -> Samples:
    """Play a random piece of music with the given attributes.

    Returns (2, samples) float32 at 48 kHz, peak < 1. The same seed gives the same piece.
    """
    score = compose(attributes, rng, seconds)
    return perform(score, attributes, rng, seconds=seconds, instruments=instruments)
