"""A reversal restores the old file exactly, and is small if little changed."""

import random
from pathlib import Path

import pytest

from covergen.library.formats.embedded_picture import is_front_cover
from covergen.library.pictures_in_files import edit_pictures
from covergen.library.writing import reversal as module
from covergen.library.writing.reversal import Reversal, find_reversal
from tests.media import EXTENSION, encode, put_tags
from tests.unit.library.written import JPEG, PNG, TAG_FORMATS, large


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "old", tmp_path / "new"


def found(files: tuple[Path, Path], old: bytes, new: bytes) -> Reversal:
    """Find, pack, unpack and apply the reversal of two files."""
    for path, data in zip(files, (old, new), strict=True):
        path.write_bytes(data)
    reversal = find_reversal(*files)
    assert reversal is not None
    reversal = Reversal.unpack(reversal.pack())
    reversal.apply(files[1])
    assert files[1].read_bytes() == old
    return reversal


def edited(source: random.Random, old: bytes) -> bytes:
    """Change some numbers, and perhaps replace a range with one of another size."""
    new = bytearray(old)
    for _ in range(source.randrange(5) if new else 0):
        at = source.randrange(len(new))
        new[at : at + 4] = source.randbytes(len(new[at : at + 4]))
    start = source.randrange(len(new) + 1)
    end = min(len(new), start + source.choice([0, 0, 10, 20_000]))
    new[start:end] = source.randbytes(source.choice([0, 0, 3, 70_000]))
    return bytes(new)


@pytest.mark.parametrize("seed", range(20))
def test_reversal_restores_arbitrary_files(files: tuple[Path, Path], seed: int) -> None:
    source = random.Random(seed)
    old = source.randbytes(source.choice([0, 1, 10, 5_000, 1_100_000]))
    new = source.choice([edited(source, old), b"", source.randbytes(9_000), old[::-1]])
    found(files, old, new)


def test_changed_numbers_in_moved_bytes_need_little_storage(files: tuple[Path, Path]) -> None:
    """As in Ogg, where each page gets a new number and checksum."""
    source = random.Random(2)
    pages = [source.randbytes(4_000) for _ in range(500)]
    old, new = (
        start + b"".join(page + source.randbytes(8) for page in pages)
        for start in (b"headers", b"headers with a picture")
    )
    assert len(found(files, old, new).pack()) < 500 * 20


def test_known_picture_is_not_packed(files: tuple[Path, Path]) -> None:
    picture = random.Random(4).randbytes(50_000)
    reversal = found(files, b"a" + picture + b"z" * 9, b"a" + b"z" * 9)
    packed = reversal.pack(picture)
    assert len(packed) < 200 < 50_000 <= len(reversal.pack(b"something else"))
    assert Reversal.unpack(packed, picture) == reversal


@pytest.mark.parametrize("container", TAG_FORMATS)
def test_added_cover_needs_less_than_a_kilobyte_to_undo(
    container: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    song = tmp_path / f"song{EXTENSION[container]}"
    encode(song, container, seconds=2)
    put_tags(song, container, {"title": "T", "artist": "A"})
    old = song.read_bytes()
    edit_pictures(song, container, is_front_cover, large(PNG, 500_000))
    reversal = found(files, old, song.read_bytes())
    assert len(reversal.pack()) < 1_000


@pytest.mark.parametrize("container", TAG_FORMATS)
def test_replaced_cover_needs_only_its_own_size_to_undo(
    container: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    picture = large(JPEG, 30_000)
    song = tmp_path / f"song{EXTENSION[container]}"
    encode(song, container, seconds=1)
    edit_pictures(song, container, is_front_cover, picture)
    old = song.read_bytes()
    edit_pictures(song, container, is_front_cover, PNG)
    reversal = found(files, old, song.read_bytes())
    assert len(reversal.middle) < 4 / 3 * 30_000 + 5_000  # base64 in Ogg


def test_too_large_reversal_is_none(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 1_000)
    files[0].write_bytes(random.Random(5).randbytes(1_001))
    files[1].write_bytes(b"")
    assert find_reversal(*files) is None


def test_damaged_reversal_is_detected(files: tuple[Path, Path]) -> None:
    reversal = found(files, b"old" * 1_000, b"new" * 2_000)
    packed = reversal.pack()
    for length in range(0, len(packed), 7):
        with pytest.raises(ValueError, match="damaged"):
            Reversal.unpack(packed[:length])
    for at in range(len(packed)):
        flipped = bytearray(packed)
        flipped[at] ^= 1
        with pytest.raises(ValueError, match="damaged"):
            Reversal.unpack(bytes(flipped))


def test_reversal_is_not_applied_to_too_short_file(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"12345")
    with pytest.raises(ValueError, match="shorter"):
        Reversal(head=3, tail=3, middle=b"").apply(path)
