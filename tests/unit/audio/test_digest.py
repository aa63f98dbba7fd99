"""The digest of a file's sound: blind to tags, and to nothing else."""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from covergen.audio.digest import audio_digest
from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason
from tests.media import (
    CONTAINERS,
    corrupted,
    decoded_hash,
    encode,
    picture_bytes,
    put_picture,
    put_tags,
)


@pytest.mark.parametrize("container", CONTAINERS)
def test_tags_and_pictures_do_not_count(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / "a", container, seconds=1, kind="noise")
    before = audio_digest(path)
    put_tags(path, container, {"title": "A" * 5_000, "artist": "B"})
    assert audio_digest(path) == before
    put_picture(path, container, picture_bytes() + bytes(200_000))
    assert audio_digest(path) == before
    put_picture(path, container, picture_bytes("jpeg"), kind=4)
    assert audio_digest(path) == before


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_change_that_can_be_heard_counts(tmp_path: Path, container: str) -> None:
    """The oracle is a whole decode: no damage that it shows may escape the digest."""
    path = encode(tmp_path / "a", container, seconds=0.4, kind="noise")
    digest, sound = audio_digest(path), decoded_hash(path)
    damaged = tmp_path / "b"
    for seed in range(12):
        shutil.copy(path, damaged)
        harm(damaged, seed)
        try:
            same = audio_digest(damaged) == digest
        except DecodeError:
            continue
        if same:
            assert decoded_hash(damaged) == sound


def harm(path: Path, seed: int) -> None:
    """Change, lose or add some bytes at one place, anywhere in the file."""
    chance = random.Random(seed)
    data = path.read_bytes()
    place, count = chance.randrange(len(data)), chance.choice([1, 4, 700])
    match seed % 3:
        case 0:
            changed = bytes(byte ^ 0x55 for byte in data[place : place + count])
            data = data[:place] + changed + data[place + count :]
        case 1:
            data = data[:place] + data[place + count :]
        case 2:
            data = data[:place] + bytes(count) + data[place:]
    path.write_bytes(data)


@pytest.mark.parametrize("container", ["mp3", "flac", "ape", "wavpack", "musepack", "tta"])
def test_where_tags_only_surround_the_sound_every_byte_counts(
    tmp_path: Path, container: str
) -> None:
    path = encode(tmp_path / "a", container, seconds=0.4, kind="noise")
    digest = audio_digest(path)
    data = path.read_bytes()
    # FLAC's tags lie in its metadata, the first 8.4 kB here.
    first = 9_000 if container == "flac" else 4
    for place in (*range(first, len(data), len(data) // 40), len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert audio_digest(path) != digest
    path.write_bytes(data + b"\0")
    assert audio_digest(path) != digest


def test_the_length_in_a_flac_header_counts(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.flac", "flac", seconds=0.4)
    digest = audio_digest(path)
    data = bytearray(path.read_bytes())
    data[25] ^= 1  # the last byte of STREAMINFO's total samples
    path.write_bytes(data)
    assert audio_digest(path) != digest


def test_times_count(tmp_path: Path) -> None:
    """An MP4 whose packets are whole but are to be played at other times."""
    path = encode(tmp_path / "a.m4a", "mp4", seconds=0.4)
    digest = audio_digest(path)
    data = path.read_bytes()
    place = data.index(b"stts") + 16
    (duration,) = struct.unpack_from(">I", data, place)
    path.write_bytes(data[:place] + struct.pack(">I", duration + 1) + data[place + 4 :])
    assert audio_digest(path) != digest


def test_a_moved_mdat_does_not_count(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", "mp4", seconds=0.4)
    digest = audio_digest(path)
    before = path.read_bytes().index(b"mdat")
    put_picture(path, "mp4", picture_bytes() + bytes(500_000))
    assert audio_digest(path) == digest
    assert before  # the moov atom is behind: now as an encoder for the web would have it
