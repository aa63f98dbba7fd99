"""Real music files for tests: encoded sound, tags, a music library, damaged files."""

from tests.media.damage import corrupted, truncated
from tests.media.encode import CONTAINERS, EXTENSION, encode
from tests.media.library import Expected, Library, make_library
from tests.media.oracle import decoded_hash
from tests.media.picture import picture_bytes
from tests.media.sound import KINDS, sound
from tests.media.tags import put_picture, put_tags
from tests.media.video import video

__all__ = [
    "CONTAINERS",
    "EXTENSION",
    "KINDS",
    "Expected",
    "Library",
    "corrupted",
    "decoded_hash",
    "encode",
    "make_library",
    "picture_bytes",
    "put_picture",
    "put_tags",
    "sound",
    "truncated",
    "video",
]
