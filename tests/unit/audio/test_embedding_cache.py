"""The embedding cache."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from covergen.audio import embedding_cache as store_module
from covergen.audio.embedding_cache import EmbeddingCache, stored_embeddings
from covergen.core.album import Track
from tests.values import track_at

VECTOR = np.array([0.6, -0.8, 1e-30], dtype=np.float32)


@pytest.fixture
def track(tmp_path: Path) -> Track:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"abc")
    return track_at(path, "mp3")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_embedding_is_found_by_file_and_by_key(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as store:
        assert store.find(track, 3, "tower") is None
        assert store.find_key("key", "tower") is None
        store.put(track, 3, "key", "tower", VECTOR)
    with closing(EmbeddingCache(path)) as store:
        found = store.find(track, 3, "tower")
        by_key = store.find_key("key", "tower")
    assert found is not None
    assert by_key is not None
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VECTOR)
    np.testing.assert_array_equal(by_key, VECTOR)


def test_other_files_windows_and_encoders_are_not_found(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as store:
        store.put(track, 3, "key", "tower", VECTOR)
        for other in (
            replace(track, size=4),
            replace(track, mtime_ns=track.mtime_ns + 1),
            replace(track, path=track.path.with_name("b.mp3")),
        ):
            assert store.find(other, 3, "tower") is None
        assert store.find(track, 1, "tower") is None
        assert store.find(track, 3, "other tower") is None
        assert store.find_key("other key", "tower") is None


def test_carry_over_keeps_the_embedding_after_a_write(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as store:
        store.put(track, 3, "key", "tower", VECTOR)
        track.path.write_bytes(b"abcdef")
        os.utime(track.path, ns=(5, 5))
        store.carry_over(track)
        assert store.find(track_at(track.path, "mp3"), 3, "tower") is not None
        assert store.find(track, 3, "tower") is None


def test_carry_over_ignores_changes_by_other_programs(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as store:
        store.put(track, 3, "key", "tower", VECTOR)
        track.path.write_bytes(b"other music")
        changed = track_at(track.path, "mp3")
        store.carry_over(changed)
        assert store.find(changed, 3, "tower") is None
        track.path.unlink()
        store.carry_over(changed)  # a missing file is not an error


def test_undecodable_file_names_are_found(path: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\xe9.mp3")
    odd.write_bytes(b"")
    with closing(EmbeddingCache(path)) as store:
        store.put(track_at(odd, "mp3"), 3, "key", "tower", VECTOR)
        assert store.find(track_at(odd, "mp3"), 3, "tower") is not None


def test_damage_found_later_is_recovered_from(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as store:
        for n in range(500):
            store.put(replace(track, size=n), 3, f"key {n}", "tower", VECTOR)
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)  # all but the first page, which has the schema
    path.write_bytes(data)
    with closing(EmbeddingCache(path)) as store:
        assert store.find_key("key 7", "tower") is None
        store.put(track, 3, "key", "tower", VECTOR)
        assert store.find(track, 3, "tower") is not None


def test_locked_cache_is_skipped(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as store, closing(sqlite3.connect(path)) as other:
        store._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        store.put(track, 3, "key", "tower", VECTOR)
        assert store.find(track, 3, "tower") is None
        assert store.saved == 0
        other.rollback()
        store.put(track, 3, "key", "tower", VECTOR)
        assert store.find(track, 3, "tower") is not None
        assert store.saved == 1


@pytest.mark.parametrize("mtime_ns", [-(10**18), 2**63, 13_569_465_600 * 10**9])
def test_any_mtime_is_found(path: Path, track: Track, mtime_ns: int) -> None:
    """The last is in the year 2400."""
    dated = replace(track, mtime_ns=mtime_ns)
    with closing(EmbeddingCache(path)) as store:
        store.put(dated, 3, "key", "tower", VECTOR)
        store.carry_over(dated)
        assert store.find(track, 3, "tower") is not None


def test_closed_store_finds_and_saves_nothing(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as store:
        store.put(track, 3, "key", "tower", VECTOR)
    store.put(track, 3, "other key", "tower", VECTOR)
    assert store.find(track, 3, "tower") is None
    assert store.prune(unused_days=0) == 0
    assert store.saved == 1
    with closing(EmbeddingCache(path)) as store:
        assert store.find(track, 3, "tower") is not None
        assert store.find_key("other key", "tower") is None


def test_store_can_be_closed_while_threads_use_it(path: Path, track: Track) -> None:
    store = EmbeddingCache(path)
    store.put(track, 3, "key", "tower", VECTOR)
    with ThreadPoolExecutor(4) as pool:
        finding = [pool.submit(store.find, track, 3, "tower") for _ in range(200)]
        store.close()
    assert all(future.exception() is None for future in finding)
    with closing(EmbeddingCache(path)) as again:
        assert again.find(track, 3, "tower") is not None


def test_threads_and_other_stores_can_use_it_concurrently(path: Path, track: Track) -> None:
    with closing(EmbeddingCache(path)) as one, closing(EmbeddingCache(path)) as two:

        def work(n: int) -> None:
            store = one if n % 2 else two
            store.put(track, n, f"key {n}", "tower", VECTOR)
            assert store.find(track, n, "tower") is not None

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(200)))
        assert all(one.find(track, n, "tower") is not None for n in range(200))


@pytest.mark.parametrize(
    "vector", [b"", bytes(12), VECTOR.tobytes()[:-1], VECTOR.tobytes()[4:], b"\xff" * 12, "text", 7]
)
def test_damaged_vector_is_not_found(track: Track, tmp_path: Path, vector: object) -> None:
    path = tmp_path / "store.sqlite"
    with closing(EmbeddingCache(path)) as store:
        store.put(track, 3, "key", "tower", VECTOR)
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("UPDATE embedding SET vector = ?", (vector,))
    with closing(EmbeddingCache(path)) as store:
        assert store.find(track, 3, "tower") is None
        store.put(track, 3, "key", "tower", VECTOR)
        assert store.find(track, 3, "tower") is not None


def let_time_pass(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    then = store_module.today() + days
    monkeypatch.setattr(store_module, "today", lambda: then)


def put_many(store: EmbeddingCache, track: Track, keys: range) -> None:
    vector = np.full(512, 512**-0.5, dtype=np.float32)
    for key in keys:
        path = track.path.with_name(str(key))
        store.put(replace(track, path=path), 3, str(key), "tower", vector)


def known(store: EmbeddingCache, keys: range) -> int:
    return sum(store.find_key(str(key), "tower") is not None for key in keys)


def test_prune_deletes_embeddings_unused_for_a_year(
    path: Path, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(EmbeddingCache(path)) as store:
        put_many(store, track, range(4))
        let_time_pass(monkeypatch, 200)
        used = replace(track, path=track.path.with_name("0"))
        assert store.find(used, 3, "tower") is not None
        assert store.find_key("1", "tower") is not None
        let_time_pass(monkeypatch, 200)
        assert store.prune() == 2
        assert [known(store, range(n, n + 1)) for n in range(4)] == [1, 1, 0, 0]
    with closing(sqlite3.connect(path)) as rows:
        assert rows.execute("SELECT count(*) FROM heard").fetchone() == (2,)


def test_prune_deletes_the_least_recently_used(
    path: Path, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(EmbeddingCache(path)) as store:
        put_many(store, track, range(100))
        let_time_pass(monkeypatch, 1)
        put_many(store, track, range(100, 200))
    size = path.stat().st_size
    with closing(EmbeddingCache(path)) as store:
        assert store.prune(most_bytes=size) == 0
        went = store.prune(most_bytes=size // 2)
        assert 100 < went < 140
        assert known(store, range(100)) == 0
        assert known(store, range(100, 200)) == 200 - went
        assert store.prune(most_bytes=size // 2) == 0
        assert store.prune(unused_days=0) == 200 - went
        store.compact()
    assert stored_embeddings(path).rows == 0
    assert path.stat().st_size < size / 10


def test_close_prunes_after_a_save(
    path: Path, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(EmbeddingCache(path)) as store:
        put_many(store, track, range(3))
    let_time_pass(monkeypatch, 365)
    EmbeddingCache(path).close()
    assert stored_embeddings(path).rows == 3
    with closing(EmbeddingCache(path)) as store:
        put_many(store, track, range(3, 4))
    assert stored_embeddings(path).rows == 1
