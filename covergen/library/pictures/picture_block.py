"""The picture block of FLAC, which Ogg and Vorbis comments use as well.

Source: RFC 9639, section 8.8.
"""

import struct

from covergen.core.picture import Picture
from covergen.library.pictures.embedded import FRONT_COVER, LINK

__all__ = ["front_cover_block", "is_front_cover"]


def front_cover_block(picture: Picture) -> bytes:
    """The block's body with every size set: opusfile refuses a half-set picture."""
    mime = picture.mime.encode()
    head = struct.pack(">II", FRONT_COVER, len(mime)) + mime + struct.pack(">I", 0)
    sizes = (picture.width, picture.height, picture.depth, picture.colors, len(picture.data))
    return head + struct.pack(">5I", *sizes) + picture.data


def is_front_cover(block: bytes) -> bool:
    """Whether a block's body is a front cover, and not only a link to one."""
    if len(block) < 8:
        return False
    kind, length = struct.unpack_from(">II", block)
    return kind == FRONT_COVER and block[8 : 8 + length] != LINK.encode()
