"""Containers are identified by content."""

import struct
from pathlib import Path

import numpy as np
import pytest

from covergen.library import containers
from covergen.library.containers import AUDIO_EXTENSIONS, identify, is_audio_name
from covergen.library.formats import keys
from tests.media import CONTAINERS, EXTENSION, encode, picture_bytes

_ID3 = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10)


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


def _ogg_page(packet: bytes, *, first: bool) -> bytes:
    """One page of a separate stream, by RFC 3533, without checksum."""
    head = struct.pack("<4sBBqIII", b"OggS", 0, 2 if first else 0, 0, len(packet), 0, 0)
    return head + bytes([1, len(packet)]) + packet


@pytest.mark.parametrize("name", sorted({*containers.CONTAINERS, *CONTAINERS}))
def test_every_entry_of_the_table_is_complete(name: str) -> None:
    row = containers.CONTAINERS[name]
    assert EXTENSION[name] in row.extensions, "tests/media cannot make such a file"
    assert row.tags.keys.names.keys() == keys.ID3.names.keys(), "a field has no key"
    documented = (Path(__file__).parents[3] / ".docs/containers.md").read_text(encoding="utf-8")
    for extension in row.extensions:
        assert extension.startswith(".")
        assert extension == extension.lower()
        assert f"`{extension}`" in documented


@pytest.mark.parametrize("container", CONTAINERS)
def test_identify_recognizes_every_container(container: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "no extension", container, seconds=0.3)
    assert identify(path) == container


@pytest.mark.parametrize("container", ["mp3", "flac", "tta"])
def test_leading_id3_tags_are_skipped(container: str, tmp_path: Path) -> None:
    audio = encode(tmp_path / "file", container, seconds=0.3).read_bytes()
    assert identify(_file(tmp_path, _ID3 + _ID3 + audio)) == container


def test_mp3_may_start_in_mid_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "file", "mp3", seconds=1.0)
    assert identify(_file(tmp_path, path.read_bytes()[1000:])) == "mp3"


def test_id3_tag_without_audio_is_an_mp3(tmp_path: Path) -> None:
    assert identify(_file(tmp_path, _ID3)) == "mp3"


def test_audio_stream_is_found_after_another_ogg_stream(tmp_path: Path) -> None:
    skeleton = _ogg_page(b"fishead\0" + bytes(56), first=True)
    vorbis = _ogg_page(b"\x01vorbis" + bytes(23), first=True)
    assert identify(_file(tmp_path, skeleton + vorbis)) == "vorbis"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"I",
        b"This is no music.\n" * 500,
        ("\ufeff" + "Auch keine Musik.\n" * 500).encode("utf-16-le"),
        picture_bytes("jpeg", 256),
        picture_bytes("png"),
        np.random.default_rng(0).bytes(1 << 20),
        _ogg_page(b"\x80theora" + bytes(30), first=True),
        b"OggS",
        b"RIFF\x00\x00\x00\x00AVI LIST",
        b"FORM\x00\x00\x00\x00ILBM",
    ],
    ids=[
        "empty", "one byte", "text", "utf-16", "jpeg", "png", "noise", "theora", "ogg stub", "avi",
        "ilbm",
    ],
)  # fmt: skip
def test_other_content_is_not_identified(content: bytes, tmp_path: Path) -> None:
    assert identify(_file(tmp_path, content)) is None


def test_missing_file_raises_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        identify(tmp_path / "missing")


def test_audio_extensions_include_every_container() -> None:
    assert set(EXTENSION.values()) <= AUDIO_EXTENSIONS
    assert is_audio_name("Song.MP3")
    assert is_audio_name("a.b.flac")
    assert not is_audio_name("mp3")
    assert not is_audio_name("cover.jpg")
    assert not is_audio_name("song.mp3.part")
    assert all(map(is_audio_name, ["a.bwf", "a.oggflac", "a.mp1", "a.mp2", "a.m4r"]))
