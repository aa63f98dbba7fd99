"""Comparing the audio of two files: tags are ignored, and nothing else."""

import random
import shutil
import struct
from pathlib import Path

import av
import pytest

from covergen.audio.same_sound import same_sound
from covergen.core.errors import DecodeError
from tests.media import (
    CONTAINERS,
    decoded_hash,
    encode,
    picture_bytes,
    put_picture,
    put_tags,
)


def changed(path: Path, data: bytes) -> Path:
    """Another file of the same kind, with these bytes."""
    other = path.with_name(f"changed{path.suffix}")
    other.write_bytes(data)
    return other


@pytest.mark.parametrize("container", CONTAINERS)
def test_tags_and_pictures_are_ignored(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / "a", container, seconds=1, kind="noise")
    before = changed(path, path.read_bytes())
    put_tags(path, container, {"title": "A" * 5_000, "artist": "B"})
    assert same_sound(before, path)
    put_picture(path, container, picture_bytes() + bytes(200_000))
    assert same_sound(before, path)
    put_picture(path, container, picture_bytes("jpeg"), kind=4)
    assert same_sound(before, path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_audible_change_is_detected(tmp_path: Path, container: str) -> None:
    """Oracle: a full decode. Every difference in it must be detected."""
    path = encode(tmp_path / "a", container, seconds=0.4, kind="noise")
    sound = decoded_hash(path)
    damaged = tmp_path / "b"
    for seed in range(12):
        shutil.copy(path, damaged)
        harm(damaged, seed)
        try:
            same = same_sound(path, damaged)
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
def test_every_byte_between_tags_is_compared(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / "a", container, seconds=0.4, kind="noise")
    data = path.read_bytes()
    # FLAC's tags lie in its metadata, the first 8.4 kB here.
    first = 9_000 if container == "flac" else 4
    for place in (*range(first, len(data), len(data) // 40), len(data) - 1):
        harmed = bytearray(data)
        harmed[place] ^= 1
        assert not same_sound(path, changed(path, bytes(harmed)))
    assert not same_sound(path, changed(path, data + b"\0"))
    assert not same_sound(path, changed(path, data[:-1]))
    assert not same_sound(changed(path, data[:-1]), path)


def test_flac_header_length_is_compared(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.flac", "flac", seconds=0.4)
    data = bytearray(path.read_bytes())
    data[25] ^= 1  # the last byte of STREAMINFO's total samples
    assert not same_sound(path, changed(path, bytes(data)))


def test_packet_times_are_compared(tmp_path: Path) -> None:
    """An MP4 with the same packets at different times."""
    path = encode(tmp_path / "a.m4a", "mp4", seconds=0.4)
    data = path.read_bytes()
    place = data.index(b"stts") + 16
    (duration,) = struct.unpack_from(">I", data, place)
    late = data[:place] + struct.pack(">I", duration + 1) + data[place + 4 :]
    assert not same_sound(path, changed(path, late))


def test_moved_mdat_is_ignored(tmp_path: Path) -> None:
    path = moov_first(encode(tmp_path / "a.m4a", "mp4", seconds=0.4), tmp_path / "b.m4a")
    data = path.read_bytes()
    before, place = changed(path, data), data.index(b"mdat")
    put_picture(path, "mp4", picture_bytes() + bytes(500_000))
    assert path.read_bytes().index(b"mdat") > place + 400_000
    assert same_sound(before, path)


def moov_first(source: Path, target: Path) -> Path:
    """Remux an MP4 file with the index first (faststart)."""
    options = {"movflags": "+faststart"}
    with av.open(source) as old, av.open(target, "w", "ipod", container_options=options) as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(old.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return target


@pytest.mark.parametrize("content", [b"", b"Just a text.\n" * 500, b"fLaC\0\0\0\x22"])
def test_file_without_audio_raises_decode_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    music = encode(tmp_path / "b.flac", "flac", seconds=0.2)
    for pair in ((path, music), (music, path)):
        with pytest.raises(DecodeError) as caught:
            same_sound(*pair)
        assert caught.value.path == path
