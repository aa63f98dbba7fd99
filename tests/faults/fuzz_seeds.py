"""The files to damage: a small one of each container, untagged and with all kinds of tags."""

import shutil
import struct
from pathlib import Path

from tests.media import CONTAINERS, EXTENSION, encode, picture_bytes, put_picture, put_tags
from tests.unit.library.pictures.tag_bytes import ape_tag, chunk, id3v1, info, item

__all__ = ["make_seeds", "read_seeds"]

_TAGS = {
    "title": "Überfahrt 海",
    "artist": "Ana",
    "album": "Inseln",
    "album_artist": "Ana",
    "date": "1997-05-21",
    "track_number": "3/12",
    "compilation": "1",
}
_ID3 = ("mp3", "wav", "rf64", "aiff", "dsf", "dff", "tta")
_SECONDS = 0.4


def make_seeds(folder: Path) -> None:
    """Write the undamaged files into a new folder."""
    folder.mkdir(parents=True)
    for container in CONTAINERS:
        bare = folder / f"bare{EXTENSION[container]}"
        encode(bare, container, seconds=_SECONDS, kind="melody", sample_rate=22_050)
        for version in (3, 4) if container in _ID3 else (3,):
            _tagged(bare, folder / f"tagged {version}{bare.suffix}", container, version)
    encode(folder / "lossless.m4a", "mp4", seconds=_SECONDS, alac=True, tags={"title": "A"})
    song, wav = (folder / "bare.mp3").read_bytes(), (folder / "bare.wav").read_bytes()
    (folder / "old.mp3").write_bytes(song + id3v1("Title"))
    items = ape_tag(item(b"Title", b"Title"), item(b"Track", b"3/12"))
    (folder / "apev2.mp3").write_bytes(song + items + id3v1("Title"))
    trailing = chunk(b"id3 ", b"ID3\3\0\0\0\0\0\x0cTIT2\0\0\0\2\0\0\0T")
    (folder / "behind.wav").write_bytes(wav + trailing)
    texts = wav + info(INAM="Title", IART="Ana")
    (folder / "info.wav").write_bytes(texts[:4] + struct.pack("<I", len(texts) - 8) + texts[8:])


def read_seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Each file's extension and bytes, in a fixed order."""
    return [(path.suffix, path.read_bytes()) for path in sorted(folder.iterdir())]


def _tagged(bare: Path, path: Path, container: str, version: int) -> None:
    shutil.copyfile(bare, path)
    put_tags(path, container, _TAGS, id3_version=version)
    for kind, size in ((3, 24), (4, 16)):
        put_picture(path, container, picture_bytes("png", size), kind=kind, id3_version=version)
