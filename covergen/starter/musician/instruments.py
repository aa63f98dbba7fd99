"""The interface of instruments: functions that render notes, chords, drums and textures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from covergen.starter.musician.tones import Samples

DRUMS = ("kick", "snare", "clap", "hat", "open_hat", "high_tom", "low_tom")


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """How an instrument is played in one piece, all 0..1. `firmness`: soft to hard attacks."""

    brightness: float
    roughness: float
    firmness: float

    def cutoff_hz(self, lowest: float = 450.0, octaves: float = 5.0) -> float:
        """Return the cutoff frequency of a low-pass filter."""
        return float(lowest * 2 ** (octaves * self.brightness))

    def attack(self, slow: float, fast: float) -> float:
        """Return the attack in seconds, interpolated geometrically from `slow` to `fast`."""
        return float(slow * (fast / slow) ** self.firmness)


Voice: TypeAlias = Callable[[float, float], Samples]  # hertz, seconds held -> (samples,)
PadVoice: TypeAlias = Callable[[Sequence[float], float], Samples]  # chord -> (2, samples)
DrumKit: TypeAlias = Mapping[str, Samples]  # one hit of each drum, (samples,)

# These functions draw the settings that an instrument keeps for a whole piece.
Instrument: TypeAlias = Callable[[Touch, np.random.Generator], Voice]
PadInstrument: TypeAlias = Callable[[Touch, np.random.Generator], PadVoice]
KitMaker: TypeAlias = Callable[[Touch, np.random.Generator], DrumKit]
Texture: TypeAlias = Callable[[float, Touch, np.random.Generator], Samples]  # -> (2, samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentSet:
    """A set of instruments. The two sets share no instrument and no method of synthesis.

    Leads, keys and pads are ordered from sombre to cheerful. A kit contains every drum of `DRUMS`.
    """

    name: str
    leads: tuple[Instrument, ...]
    keys: tuple[Instrument, ...]
    pads: tuple[PadInstrument, ...]
    basses: tuple[Instrument, ...]
    kits: tuple[KitMaker, ...]
    textures: tuple[Texture, ...]
