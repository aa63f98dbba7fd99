"""FLAC's picture block, which Vorbis comments contain too.

Source: RFC 9639, section 8.8.
"""

import struct

from covergen.core.picture import Picture
from covergen.library.pictures.embedded import FRONT_COVER, LINK, EmbeddedPicture

__all__ = ["front_cover_block", "picture_in"]


def front_cover_block(picture: Picture) -> bytes:
    """Encode the block's body. All dimensions are set, because opusfile requires them."""
    mime = picture.mime.encode()
    head = struct.pack(">II", FRONT_COVER, len(mime)) + mime + struct.pack(">I", 0)
    sizes = (picture.width, picture.height, picture.depth, picture.colors, len(picture.data))
    return head + struct.pack(">5I", *sizes) + picture.data


def picture_in(block: bytes) -> EmbeddedPicture | None:
    """Decode a block's body, possibly truncated. Returns None for a link."""
    if len(block) < 8:
        return None
    kind, length = struct.unpack_from(">II", block)
    text = 8 + length
    if block[8:text] == LINK.encode():
        return None
    sizes = text + 4 + int.from_bytes(block[text : text + 4], "big")
    return EmbeddedPicture(block[sizes + 20 :], kind)
