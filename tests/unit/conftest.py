"""Inputs that unit tests share: a song to write a cover into, and small bases to read."""

from pathlib import Path

import pytest

from tests.media import encode


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A short FLAC file without tags."""
    return encode(tmp_path_factory.mktemp("sound") / "a.flac", "flac", seconds=0.2).read_bytes()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("original") / "song.flac"
    return encode(path, "flac", seconds=0.5, tags={"title": "T", "artist": "A"}).read_bytes()


@pytest.fixture
def song(tmp_path: Path, original: bytes) -> Path:
    path = tmp_path / "song.flac"
    path.write_bytes(original)
    return path


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_base import make_tiny_base  # imports torch

    return make_tiny_base(tmp_path_factory.mktemp("sd1"), like="sd1")


@pytest.fixture(scope="session")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_base import make_tiny_base

    return make_tiny_base(tmp_path_factory.mktemp("sd2"), like="sd2")
