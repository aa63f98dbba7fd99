"""Tracks to embeddings: order, batches, failures, memory of what was heard, and stopping."""

import itertools
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from covergen.audio.clap import Tower
from covergen.audio.decoder import Decoder
from covergen.audio.embed import embed_tracks, mean_embedding
from covergen.audio.store import EmbeddingStore
from covergen.audio.windows import read_excerpt
from covergen.core.errors import Interrupted, ModelError
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status, Track, TrackEmbedding
from tests.media import encode, picture_bytes, put_picture, put_tags
from tests.unit.audio.processes import Windows, children


class Ear:
    """A stand-in for the tower: hears loudness, and writes down how many windows it was given."""

    id = "ear"
    dimension = 2
    log_mel = Windows()

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(len(waveforms))
        angles = waveforms.std(axis=1) * 3
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def track_at(path: Path) -> Track:
    stat = path.stat()
    return Track(
        path=path, size=stat.st_size, mtime_ns=stat.st_mtime_ns, container="", has_art=False
    )


@pytest.fixture
def tracks(tmp_path: Path) -> list[Track]:
    """Six files of 1 to 35 seconds; one is no music at all."""
    lengths = [25, 1, 35, 12, 4]
    paths = [
        encode(tmp_path / f"{n}.wav", "wav", seconds=seconds, kind="noise", seed=n)
        for n, seconds in enumerate(lengths)
    ]
    text = tmp_path / "text.mp3"
    text.write_text("no music" * 100)
    return [track_at(path) for path in (*paths[:2], text, *paths[2:])]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddingStore]:
    with closing(EmbeddingStore(tmp_path / "store.sqlite")) as store:
        yield store


def run(
    tracks: Iterable[Track],
    tower: Ear | Tower,
    store: EmbeddingStore,
    *,
    windows: int = 3,
    batch_size: int = 4,
) -> Iterator[TrackEmbedding | Outcome]:
    return embed_tracks(
        tracks,
        tower,  # type: ignore[arg-type]  # the stand-in has what is used of a Tower
        store,
        windows=windows,
        batch_size=batch_size,
        workers=2,
        checkpoint=lambda: None,
    )


def vectors(results: Iterable[TrackEmbedding | Outcome]) -> list[NDArray[np.float32]]:
    return [result.vector for result in results if isinstance(result, TrackEmbedding)]


def test_each_track_has_its_embedding_or_its_outcome_in_order(
    tracks: list[Track], store: EmbeddingStore
) -> None:
    ear = Ear()
    results = list(run(tracks, ear, store))
    for track, result in zip(tracks, results, strict=True):
        if isinstance(result, Outcome):
            assert result.path == track.path == tracks[2].path
            assert (result.status, result.reason) == (Status.FAILED, Reason.UNDECODABLE)
        else:
            assert result.track == track
            alone = ear.embed(read_excerpt(track.path, 3).decode())
            mean = alone.mean(axis=0, dtype=np.float64)
            np.testing.assert_allclose(result.vector, mean / np.linalg.norm(mean), atol=1e-6)
            assert result.vector.dtype == np.float32


def test_windows_of_several_tracks_are_heard_at_once(
    tracks: list[Track], store: EmbeddingStore
) -> None:
    ear = Ear()
    list(run(tracks, ear, store, batch_size=4))
    # 3, 1 | 3 | 2, 1 windows.
    assert ear.batches == [4, 3, 3]


def test_a_track_may_have_more_windows_than_a_batch(
    tracks: list[Track], store: EmbeddingStore
) -> None:
    small, large = Ear(), Ear()
    few = vectors(run(tracks[:1], small, store, batch_size=2))
    assert small.batches == [2, 1]
    store.close()
    with closing(EmbeddingStore(tracks[0].path.with_name("other.sqlite"))) as other:
        many = vectors(run(tracks[:1], large, other, batch_size=16))
    np.testing.assert_allclose(few[0], many[0], atol=1e-6)


def test_a_second_run_opens_no_file_and_wakes_no_tower(
    tracks: list[Track], store: EmbeddingStore
) -> None:
    first = list(run(tracks, Ear(), store))
    for track in tracks:
        track.path.unlink()
    ear = Ear()
    second = list(run([t for t in tracks if t.path.suffix == ".wav"], ear, store))
    assert ear.batches == []
    for one, other in zip(vectors(first), vectors(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_tower_or_other_windows_are_heard_anew(
    tracks: list[Track], store: EmbeddingStore
) -> None:
    list(run(tracks[:1], Ear(), store))
    other = Ear()
    other.id = "other"
    list(run(tracks[:1], other, store))
    list(run(tracks[:1], other, store, windows=2))
    assert other.batches == [3, 2]


def test_new_tags_and_a_new_place_are_recognised_by_the_sound(
    tmp_path: Path, store: EmbeddingStore
) -> None:
    path = encode(tmp_path / "a.mp3", "mp3", seconds=3)
    (expected,) = vectors(run([track_at(path)], Ear(), store))
    moved = tmp_path / "b.mp3"
    shutil.move(path, moved)
    put_tags(moved, "mp3", {"title": "new"})
    put_picture(moved, "mp3", picture_bytes())
    ear = Ear()
    (found,) = vectors(run([track_at(moved)], ear, store))
    assert ear.batches == []
    np.testing.assert_array_equal(found, expected)
    known = track_at(moved)
    moved.unlink()
    (again,) = vectors(run([known], ear, store))  # now without the file
    np.testing.assert_array_equal(again, expected)


def test_what_waits_for_nothing_comes_at_once(tracks: list[Track], store: EmbeddingStore) -> None:
    """A known track ahead of unknown ones needs no full batch."""
    list(run(tracks[:1], Ear(), store))
    ear = Ear()
    results = run(tracks, ear, store)
    next(results)
    assert ear.batches == []
    results.close()  # type: ignore[attr-defined]  # a generator


def test_no_more_is_taken_than_is_needed_ahead(tmp_path: Path, store: EmbeddingStore) -> None:
    path = encode(tmp_path / "a.wav", "wav", seconds=0.2)
    taken = itertools.count()

    def endless() -> Iterator[Track]:
        while True:
            next(taken)
            yield track_at(path)

    results = run(endless(), Ear(), store, batch_size=4)
    for _ in range(20):
        next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert next(taken) < 20 + 2 * 4


def test_known_tracks_do_not_wait_for_a_full_batch(tmp_path: Path, store: EmbeddingStore) -> None:
    """However many of them follow one that has yet to be heard."""
    new, known = (
        track_at(encode(tmp_path / f"{seed}.wav", "wav", seconds=0.2, kind="noise", seed=seed))
        for seed in (1, 2)
    )
    list(run([known], Ear(), store))
    taken = itertools.count()
    tracks = (known for _ in iter(lambda: next(taken), 10_000))
    results = run(itertools.chain([new], tracks), Ear(), store, batch_size=4)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert next(taken) < 20


def test_the_spectrograms_ahead_fit_into_memory(
    tmp_path: Path, store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many windows a track, fewer tracks than workers are begun."""
    read = Decoder.read
    monkeypatch.setattr(Decoder, "read", lambda self, path, _: read(self, path, 1))
    path = encode(tmp_path / "a.wav", "wav", seconds=0.2)
    taken = itertools.count()
    tracks = (track_at(path) for _ in iter(lambda: next(taken), 10_000))
    results = embed_tracks(
        tracks,
        Ear(),  # type: ignore[arg-type]  # as above
        store,
        windows=100,
        batch_size=1,
        workers=64,
        checkpoint=lambda: None,
    )
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert next(taken) <= 6  # of 512 windows, each takes 100


def test_leaving_early_waits_for_the_threads(
    tracks: list[Track], store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what they use can be closed."""
    using: list[Path] = []

    def slow(self: Decoder, path: Path, windows: int) -> str:
        using.append(path)
        time.sleep(0.2)
        try:
            return read(self, path, windows)
        finally:
            using.remove(path)

    read = Decoder.read
    monkeypatch.setattr(Decoder, "read", slow)
    results = run(tracks, Ear(), store, batch_size=1)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert not using


def test_stopping_half_way_keeps_what_was_heard(tracks: list[Track], store: EmbeddingStore) -> None:
    def stop() -> None:
        if next(calls) > len(tracks):
            raise Interrupted

    calls = itertools.count()
    ear = Ear()
    results = embed_tracks(
        tracks,
        ear,  # type: ignore[arg-type]  # as above
        store,
        windows=3,
        batch_size=4,
        workers=2,
        checkpoint=stop,
    )
    heard = []
    with pytest.raises(Interrupted):
        heard.extend(results)
    assert not decoding()
    assert 0 < len(vectors(heard)) < 5
    again = Ear()
    list(run(tracks, again, store))
    assert sum(again.batches) == 10 - sum(ear.batches)


def test_leaving_early_ends_the_threads(tracks: list[Track], store: EmbeddingStore) -> None:
    results = run(tracks, Ear(), store)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert not decoding()


def decoding() -> list[object]:
    """Threads and, where they are easily found, processes."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    begun = [Path(f"/proc/{child}/cmdline") for child in children(os.getpid())]
    return [*threads, *(line for line in begun if b"decoder_process" in line.read_bytes())]


def test_a_tower_that_fails_ends_the_run(tracks: list[Track], store: EmbeddingStore) -> None:
    class Deaf(Ear):
        def embed(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
            raise ModelError(f"heard nothing in {len(waveforms)} windows")

    with pytest.raises(ModelError):
        list(run(tracks, Deaf(), store))
    assert not decoding()


def test_a_bug_is_not_hidden(
    tracks: list[Track], store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Decoder, path: Path, windows: int) -> str:
        raise RuntimeError(self, path, windows)

    monkeypatch.setattr(Decoder, "read", broken)
    with pytest.raises(RuntimeError):
        list(run(tracks, Ear(), store))


def test_the_tower_does_not_wait_for_decoding(
    tracks: list[Track], store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the tower hears one batch, the tracks of the next are being opened."""
    opened: list[Path] = []

    def read_and_note(self: Decoder, path: Path, windows: int) -> str:
        opened.append(path)
        return read(self, path, windows)

    class Slow(Ear):
        def embed(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
            deadline = time.monotonic() + 10
            while len(opened) < min(len(tracks), 2 * len(self.batches) + 3):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            return super().embed(waveforms)

    read = Decoder.read
    monkeypatch.setattr(Decoder, "read", read_and_note)
    list(run(tracks, Slow(), store, batch_size=3))


def test_the_real_tower_hears_a_track_as_the_mean_of_its_windows(
    clap: Path, tmp_path: Path, store: EmbeddingStore
) -> None:
    path = encode(tmp_path / "a.flac", "flac", seconds=25, kind="noise")
    tower = Tower(clap, device=torch.device("cpu"), dtype=torch.float32)
    (found,) = vectors(run([track_at(path)], tower, store, windows=2))
    first, second = tower.embed(tower.log_mel(read_excerpt(path, 2).decode()))
    expected = (first + second) / np.linalg.norm(first + second)
    assert found @ expected == pytest.approx(1, abs=1e-5)


def test_the_mean_of_embeddings_has_unit_length() -> None:
    mean = mean_embedding([np.array([1, 0], np.float32), np.array([0, 1], np.float32)])
    np.testing.assert_allclose(mean, [0.5**0.5, 0.5**0.5], rtol=1e-6)
    assert mean.dtype == np.float32
