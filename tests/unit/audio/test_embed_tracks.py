"""Embedding tracks: order, batches, failures, caching, and stopping."""

import itertools
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.audio.clap import AudioEncoder
from covergen.audio.decoder_pool import Decoder
from covergen.audio.embed_tracks import embed_tracks
from covergen.audio.embedding_cache import EmbeddingCache
from covergen.audio.windows import read_excerpt
from covergen.core.album import Outcome, Status, Track, TrackEmbedding
from covergen.core.errors import Interrupted, ModelError
from covergen.core.reasons import Reason
from tests.media import encode, picture_bytes, put_picture, put_tags
from tests.unit.audio.processes import Windows, children
from tests.values import track_at


class FakeEncoder:
    """A stand-in for the audio encoder: embeds loudness, and records its batch sizes."""

    id = "fake"
    dimension = 2
    log_mel = Windows()

    def __init__(self, batch_size: int = 4) -> None:
        self.batch_size = batch_size
        self.batches: list[int] = []

    def load(self) -> None:
        """There is nothing to load."""

    def embed(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(len(waveforms))
        angles = waveforms.std(axis=1) * 3
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def decoding() -> set[object]:
    """Return the running decoder threads and processes."""
    threads = {thread for thread in threading.enumerate() if thread.name.startswith("decode")}
    begun = [Path(f"/proc/{child}/cmdline") for child in children(os.getpid())]
    return threads | {line for line in begun if b"decoder_process" in line.read_bytes()}


@pytest.fixture(autouse=True)
def _no_decoder_is_left() -> Iterator[None]:
    before = decoding()
    yield
    assert decoding() <= before


@pytest.fixture
def tracks(tmp_path: Path) -> list[Track]:
    """Six files of 1 to 35 seconds; one is not music."""
    lengths = [25, 1, 35, 12, 4]
    paths = [
        encode(tmp_path / f"{n}.wav", "wav", seconds=seconds, kind="noise", seed=n)
        for n, seconds in enumerate(lengths)
    ]
    text = tmp_path / "text.mp3"
    text.write_text("no music" * 100)
    return [track_at(path) for path in (*paths[:2], text, *paths[2:])]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddingCache]:
    with closing(EmbeddingCache(tmp_path / "store.sqlite")) as store:
        yield store


def run(
    tracks: Iterable[Track],
    audio_encoder: FakeEncoder | AudioEncoder,
    store: EmbeddingCache,
    *,
    windows: int = 3,
) -> Iterator[TrackEmbedding | Outcome]:
    return embed_tracks(
        tracks,
        audio_encoder,  # type: ignore[arg-type]  # the stand-in has what is used of an AudioEncoder
        store,
        windows=windows,
        workers=2,
        check_interrupted=lambda: None,
    )


def vectors(results: Iterable[TrackEmbedding | Outcome]) -> list[NDArray[np.float32]]:
    return [result.vector for result in results if isinstance(result, TrackEmbedding)]


def test_results_are_embeddings_or_outcomes_in_order(
    tracks: list[Track], store: EmbeddingCache
) -> None:
    encoder = FakeEncoder()
    results = list(run(tracks, encoder, store))
    for track, result in zip(tracks, results, strict=True):
        if isinstance(result, Outcome):
            assert result.path == track.path == tracks[2].path
            assert (result.status, result.reason) == (Status.FAILED, Reason.UNDECODABLE)
        else:
            assert result.track == track
            alone = encoder.embed(read_excerpt(track.path, 3).decode())
            mean = alone.mean(axis=0, dtype=np.float64)
            np.testing.assert_allclose(result.vector, mean / np.linalg.norm(mean), atol=1e-6)
            assert result.vector.dtype == np.float32


def test_windows_of_several_tracks_share_a_batch(
    tracks: list[Track], store: EmbeddingCache
) -> None:
    encoder = FakeEncoder()
    list(run(tracks, encoder, store))
    # 3, 1 | 3 | 2, 1 windows.
    assert encoder.batches == [4, 3, 3]


def test_second_run_opens_no_file_and_runs_no_encoder(
    tracks: list[Track], store: EmbeddingCache
) -> None:
    first = list(run(tracks, FakeEncoder(), store))
    for track in tracks:
        track.path.unlink()
    encoder = FakeEncoder()
    second = list(run([t for t in tracks if t.path.suffix == ".wav"], encoder, store))
    assert encoder.batches == []
    for one, other in zip(vectors(first), vectors(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_encoder_or_windows_are_embedded_again(
    tracks: list[Track], store: EmbeddingCache
) -> None:
    list(run(tracks[:1], FakeEncoder(), store))
    other = FakeEncoder()
    other.id = "other"
    list(run(tracks[:1], other, store))
    list(run(tracks[:1], other, store, windows=2))
    assert other.batches == [3, 2]


def test_moved_and_retagged_file_is_found_by_its_audio(
    tmp_path: Path, store: EmbeddingCache
) -> None:
    path = encode(tmp_path / "a.mp3", "mp3", seconds=3)
    (expected,) = vectors(run([track_at(path)], FakeEncoder(), store))
    moved = tmp_path / "b.mp3"
    shutil.move(path, moved)
    put_tags(moved, "mp3", {"title": "new"})
    put_picture(moved, "mp3", picture_bytes())
    encoder = FakeEncoder()
    (found,) = vectors(run([track_at(moved)], encoder, store))
    assert encoder.batches == []
    np.testing.assert_array_equal(found, expected)
    known = track_at(moved)
    moved.unlink()
    (again,) = vectors(run([known], encoder, store))  # now without the file
    np.testing.assert_array_equal(again, expected)


def test_cached_tracks_do_not_wait_for_a_full_batch(tmp_path: Path, store: EmbeddingCache) -> None:
    """Even if many of them follow a track that is not embedded yet."""
    new, known = (
        track_at(encode(tmp_path / f"{seed}.wav", "wav", seconds=0.2, kind="noise", seed=seed))
        for seed in (1, 2)
    )
    list(run([known], FakeEncoder(), store))
    taken = itertools.count()
    tracks = (known for _ in iter(lambda: next(taken), 10_000))
    results = run(itertools.chain([new], tracks), FakeEncoder(), store)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert next(taken) < 20


def test_look_ahead_is_bounded_in_windows(
    tmp_path: Path, store: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many windows per track, fewer tracks than workers are started."""
    read = Decoder.read
    monkeypatch.setattr(Decoder, "read", lambda self, path, _: read(self, path, 1))
    path = encode(tmp_path / "a.wav", "wav", seconds=0.2)
    taken = itertools.count()
    tracks = (track_at(path) for _ in iter(lambda: next(taken), 10_000))
    results = embed_tracks(
        tracks,
        FakeEncoder(batch_size=1),  # type: ignore[arg-type]  # as above
        store,
        windows=100,
        workers=64,
        check_interrupted=lambda: None,
    )
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert next(taken) <= 6  # of 512 windows, each takes 100


def test_closing_waits_for_threads(
    tracks: list[Track], store: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the store can be closed."""
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
    results = run(tracks, FakeEncoder(batch_size=1), store)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert not using


def test_interrupted_run_keeps_finished_embeddings(
    tracks: list[Track], store: EmbeddingCache
) -> None:
    def stop() -> None:
        if next(calls) > len(tracks):
            raise Interrupted

    calls = itertools.count()
    encoder = FakeEncoder()
    results = embed_tracks(
        tracks,
        encoder,  # type: ignore[arg-type]  # as above
        store,
        windows=3,
        workers=2,
        check_interrupted=stop,
    )
    heard = []
    with pytest.raises(Interrupted):
        heard.extend(results)
    assert 0 < len(vectors(heard)) < 5
    again = FakeEncoder()
    list(run(tracks, again, store))
    assert sum(again.batches) == 10 - sum(encoder.batches)


def test_failing_encoder_ends_the_run(tracks: list[Track], store: EmbeddingCache) -> None:
    class Failing(FakeEncoder):
        def embed(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
            raise ModelError(f"heard nothing in {len(waveforms)} windows")

    with pytest.raises(ModelError):
        list(run(tracks, Failing(), store))


def test_bug_is_raised(
    tracks: list[Track], store: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "read", Mock(side_effect=RuntimeError))
    with pytest.raises(RuntimeError):
        list(run(tracks, FakeEncoder(), store))


def test_next_batch_is_decoded_while_the_encoder_runs(
    tracks: list[Track], store: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the encoder runs, the tracks of the next batch are opened."""
    opened: list[Path] = []

    def read_and_note(self: Decoder, path: Path, windows: int) -> str:
        opened.append(path)
        return read(self, path, windows)

    class Slow(FakeEncoder):
        def embed(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
            deadline = time.monotonic() + 10
            while len(opened) < min(len(tracks), 2 * len(self.batches) + 3):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            return super().embed(waveforms)

    read = Decoder.read
    monkeypatch.setattr(Decoder, "read", read_and_note)
    list(run(tracks, Slow(batch_size=3), store))
