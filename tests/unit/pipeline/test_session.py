"""What a job opens, updates and closes."""

from contextlib import closing
from pathlib import Path

import numpy as np

from covergen.audio.embedding_cache import EmbeddingCache
from covergen.core.app_folders import cache_folder, state_folder
from covergen.core.atomic_write import temporary
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.session import open_session
from tests.unit.library.written import track


def test_written_file_keeps_its_embedding_and_is_scanned_again(tmp_path: Path) -> None:
    song = tmp_path / "song.flac"
    song.write_bytes(b"before")
    before = track(song, "flac")
    vector = np.array([1, 0], np.float32)
    with open_session() as session:
        session.store.put(before, 3, "key", "encoder", vector)
        session.scan_cache.remember(before)
        song.write_bytes(b"with a cover")
        session.note_written(before)
    with closing(EmbeddingCache()) as store, closing(ScanCache()) as scan_cache:
        assert np.array_equal(store.find(track(song, "flac"), 3, "encoder"), vector)
        assert scan_cache.recall(tmp_path) == {}


def test_what_killed_processes_left_is_deleted() -> None:
    left = [folder / ".covergen-01234567.tmp" for folder in (cache_folder(), state_folder() / "x")]
    for file in left:
        file.parent.mkdir(parents=True)
        file.touch()
    with temporary(cache_folder()) as in_use, open_session():
        assert in_use.exists()
        assert not any(file.exists() for file in left)


def test_covers_kept_by_earlier_versions_are_deleted() -> None:
    kept = state_folder() / "pending/0123"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"a cover")
    with open_session() as session:
        assert session.run is None
    assert not kept.parent.exists()
