"""Every instrument of both sets: in tune, without clicks, and in one set only."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from covergen.starter.musician import HELD_OUT, SAMPLE_RATE_HZ, TRAINING
from covergen.starter.musician.instruments import (
    DRUMS,
    Instrument,
    KitMaker,
    PadInstrument,
    Texture,
    Touch,
)

TOUCHES = [
    Touch(brightness=b, roughness=r, firmness=f)
    for b, r, f in ((0.1, 0.1, 0.1), (0.9, 0.1, 0.9), (0.1, 0.9, 0.9), (0.9, 0.9, 0.1))
]
PITCHED = sorted(
    {maker for s in (TRAINING, HELD_OUT) for maker in (*s.keys, *s.leads, *s.basses)},
    key=lambda maker: maker.__name__,
)
PADS = [*TRAINING.pads, *HELD_OUT.pads]
KITS = [*TRAINING.kits, *HELD_OUT.kits]
TEXTURES = [*TRAINING.textures, *HELD_OUT.textures]


def _check_no_clicks(sound: np.ndarray) -> None:
    peak = np.abs(sound).max()
    assert np.isfinite(sound).all()
    assert peak > 0.01
    assert np.abs(sound[..., 0]).max() < 0.02 * peak
    assert np.abs(sound[..., -48:]).max() < 0.02 * peak


@pytest.mark.parametrize("maker", PITCHED, ids=lambda m: m.__name__)
def test_a_note_is_in_tune_and_does_not_click(maker: Instrument) -> None:
    for touch, hertz in product(TOUCHES, (110.0, 440.0)):
        note = maker(touch, np.random.default_rng(0))(hertz, 0.6)
        assert note.dtype == np.float32
        assert note.size >= 0.6 * SAMPLE_RATE_HZ
        _check_no_clicks(note)
        size = 1 << 18
        spectrum = np.abs(np.fft.rfft(note * np.hanning(note.size), size))
        loudest_hz = np.argmax(spectrum) * SAMPLE_RATE_HZ / size
        multiple = loudest_hz / (hertz / 2)  # organs also sound the octave below
        cents = 1200 * np.log2(multiple / round(multiple))
        assert round(multiple) >= 1
        assert abs(cents) < 40, (touch, hertz, loudest_hz)
        # A click is a burst of treble: the release must not have more of it than the note.
        treble = np.abs(np.diff(note, 6))  # amplifies steps tenfold, removes a tone of 1 kHz
        held, release = np.split(treble, [int(0.55 * SAMPLE_RATE_HZ)])
        assert release.max() <= max(1.5 * held.max(), 0.02 * np.abs(note).max())


@pytest.mark.parametrize("maker", PADS, ids=lambda m: m.__name__)
def test_a_pad_sustains_its_chord_in_stereo(maker: PadInstrument) -> None:
    for touch in TOUCHES:
        sound = maker(touch, np.random.default_rng(0))([220.0, 277.18, 329.63], 4.0)
        assert sound.shape[0] == 2
        _check_no_clicks(sound)
        parts = np.array_split(sound[:, 48_000:168_000], 5, axis=1)
        assert np.ptp(10 * np.log10([np.mean(part**2) for part in parts])) < 10.5  # dB
        assert np.corrcoef(sound)[0, 1] < 0.99


@pytest.mark.parametrize("maker", KITS, ids=lambda m: m.__name__)
def test_a_kit_has_all_drums_in_order_of_pitch(maker: KitMaker) -> None:
    for touch in TOUCHES:
        kit = maker(touch, np.random.default_rng(0))
        assert set(kit) == set(DRUMS)
        for drum in kit.values():
            _check_no_clicks(drum)
            assert drum.size < SAMPLE_RATE_HZ
        centroid = {name: _centroid_hz(drum) for name, drum in kit.items()}
        assert centroid["kick"] < centroid["snare"] < centroid["hat"]
        assert centroid["low_tom"] < centroid["high_tom"]


def _centroid_hz(sound: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE_HZ) @ power / power.sum())


@pytest.mark.parametrize("maker", TEXTURES, ids=lambda m: m.__name__)
def test_a_texture_fills_the_requested_time(maker: Texture) -> None:
    for touch in TOUCHES:
        sound = maker(3.0, touch, np.random.default_rng(0))
        assert sound.shape == (2, 144_000)
        assert np.isfinite(sound).all()
        assert np.std(sound[:, :72_000]) > 0
        assert np.std(sound[:, 72_000:]) > 0


def test_no_instrument_is_in_both_sets() -> None:
    parts = ("leads", "keys", "pads", "basses", "kits", "textures")
    training, held_out = (
        {maker for part in parts for maker in getattr(instruments, part)}
        for instruments in (TRAINING, HELD_OUT)
    )
    assert not training & held_out
