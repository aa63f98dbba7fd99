"""The demo's albums: complete, in order, and of distinct moods."""

from __future__ import annotations

import datetime as dt

import numpy as np

from covergen.starter.songs import ALBUMS, render


def test_six_albums_of_one_to_three_songs_with_complete_tags() -> None:
    assert len({album.title for album in ALBUMS}) == len({album.artist for album in ALBUMS}) == 6
    for album in ALBUMS:
        dt.date.fromisoformat(album.date)
        assert 1 <= len(album.songs) <= 3
        assert [song.number for song in album.songs] == list(range(1, len(album.songs) + 1))
        assert all(song.title and 20 <= song.seconds <= 30 for song in album.songs)


def test_moods_differ_clearly() -> None:
    moods = np.array(
        [(a.songs[0].attributes.arousal, a.songs[0].attributes.valence) for a in ALBUMS]
    )
    apart = np.linalg.norm(moods[:, None] - moods[None], axis=-1) + 9 * np.eye(6)
    assert apart.min() > 0.25
    assert np.ptp(moods, axis=0).min() > 0.8


def test_songs_fade_out_and_are_reproducible() -> None:
    album = ALBUMS[0]
    song = album.songs[1]
    samples, same = render(album, song), render(album, song)
    assert samples.shape == (2, round(48_000 * song.seconds))
    assert samples.dtype == np.float32
    assert np.array_equal(samples, same)
    assert np.abs(samples).max() <= 1
    assert np.abs(samples[:, -480:]).max() < 1e-3
    assert samples.std(axis=1).min() > 0.005
