"""A short FLAC song for tests."""

from pathlib import Path

import pytest

from tests.media import encode


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("original") / "song.flac"
    return encode(path, "flac", seconds=0.5, tags={"title": "T", "artist": "A"}).read_bytes()


@pytest.fixture
def song(tmp_path: Path, original: bytes) -> Path:
    path = tmp_path / "song.flac"
    path.write_bytes(original)
    return path
