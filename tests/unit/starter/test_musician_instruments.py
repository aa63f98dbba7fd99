"""Every instrument of both sets, note by note: in tune, without clicks, in one set only."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from covergen.starter.musician import HELD_OUT, SAMPLE_RATE_HZ, TRAINING
from covergen.starter.musician.instruments import DRUMS, Instrument, Touch

TOUCHES = [
    Touch(brightness=b, roughness=r, firmness=f) for b, r, f in product((0.1, 0.9), repeat=3)
]
PITCHED = sorted(
    {maker for s in (TRAINING, HELD_OUT) for maker in (*s.keys, *s.leads, *s.basses)},
    key=lambda maker: maker.__name__,
)
PADS = [*TRAINING.pads, *HELD_OUT.pads]
KITS = [*TRAINING.kits, *HELD_OUT.kits]
TEXTURES = [*TRAINING.textures, *HELD_OUT.textures]


def _edges_are_soft(sound: np.ndarray) -> None:
    peak = np.abs(sound).max()
    assert np.isfinite(sound).all()
    assert peak > 0.01
    assert np.abs(sound[..., 0]).max() < 0.02 * peak
    assert np.abs(sound[..., -48:]).max() < 0.02 * peak


@pytest.mark.parametrize("maker", PITCHED, ids=lambda m: m.__name__)
def test_a_note_is_in_tune_and_begins_and_ends_in_silence(maker: Instrument) -> None:
    for touch, hertz in product(TOUCHES, (110.0, 440.0)):
        note = maker(touch, np.random.default_rng(0))(hertz, 0.6)
        assert note.dtype == np.float32
        assert note.size >= 0.6 * SAMPLE_RATE_HZ
        _edges_are_soft(note)
        size = 1 << 18
        spectrum = np.abs(np.fft.rfft(note * np.hanning(note.size), size))
        loudest_hz = np.argmax(spectrum) * SAMPLE_RATE_HZ / size
        multiple = loudest_hz / (hertz / 2)  # of the octave below: organs have it
        cents = 1200 * np.log2(multiple / round(multiple))
        assert round(multiple) >= 1
        assert abs(cents) < 40, (touch, hertz, loudest_hz)


@pytest.mark.parametrize("maker", PITCHED, ids=lambda m: m.__name__)
def test_the_release_of_a_note_does_not_click(maker: Instrument) -> None:
    """A click is treble all at once: the end has no more of it than the note itself."""
    touch = Touch(brightness=0.1, roughness=0.0, firmness=0.2)
    note = maker(touch, np.random.default_rng(0))(220.0, 0.5)
    treble = np.abs(np.diff(note, 6))  # a step of 1 becomes one of 10, a tone of 1 kHz vanishes
    held, end = np.split(treble, [int(0.45 * SAMPLE_RATE_HZ)])
    assert end.max() <= max(1.5 * held.max(), 0.02 * np.abs(note).max())


@pytest.mark.parametrize("maker", PADS, ids=lambda m: m.__name__)
def test_a_pad_holds_its_chord_in_stereo(maker) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a pad
    for touch in TOUCHES:
        sound = maker(touch, np.random.default_rng(0))([220.0, 277.18, 329.63], 4.0)
        assert sound.shape[0] == 2
        _edges_are_soft(sound)
        loud = [
            np.sqrt(np.mean(part**2))
            for part in np.array_split(sound[:, 48_000:168_000], 5, axis=1)
        ]
        assert min(loud) > 0.3 * max(loud)
        assert np.corrcoef(sound)[0, 1] < 0.99


@pytest.mark.parametrize("maker", KITS, ids=lambda m: m.__name__)
def test_a_kit_has_all_drums_and_they_are_short(maker) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a kit
    for touch in TOUCHES:
        kit = maker(touch, np.random.default_rng(0))
        assert set(kit) == set(DRUMS)
        for drum in kit.values():
            _edges_are_soft(drum)
            assert drum.size < SAMPLE_RATE_HZ
        centroid = {name: _centroid_hz(drum) for name, drum in kit.items()}
        assert centroid["kick"] < centroid["snare"] < centroid["hat"]
        assert centroid["low_tom"] < centroid["high_tom"]


def _centroid_hz(sound: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE_HZ) @ power / power.sum())


@pytest.mark.parametrize("maker", TEXTURES, ids=lambda m: m.__name__)
def test_a_texture_fills_its_time_in_stereo(maker) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a texture
    for touch in TOUCHES:
        sound = maker(3.0, touch, np.random.default_rng(0))
        assert sound.shape == (2, 144_000)
        assert np.isfinite(sound).all()
        assert np.std(sound[:, :72_000]) > 0
        assert np.std(sound[:, 72_000:]) > 0


def test_no_instrument_is_in_both_sets() -> None:
    for part in ("leads", "keys", "pads", "basses", "kits", "textures"):
        assert not set(getattr(TRAINING, part)) & set(getattr(HELD_OUT, part))
    everything = [
        {
            maker.__name__
            for part in ("leads", "keys", "basses", "pads", "kits")
            for maker in getattr(s, part)
        }
        for s in (TRAINING, HELD_OUT)
    ]
    assert not everything[0] & everything[1]
