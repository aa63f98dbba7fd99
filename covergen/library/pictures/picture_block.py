"""The picture block of FLAC, which Ogg and Vorbis comments use as well.

Source: RFC 9639, section 8.8.
"""

import struct

from covergen.core.picture import Picture
from covergen.library.pictures.embedded import FRONT_COVER, LINK, EmbeddedPicture

__all__ = ["front_cover_block", "picture_in"]


def front_cover_block(picture: Picture) -> bytes:
    """The block's body with every size set: opusfile refuses a half-set picture."""
    mime = picture.mime.encode()
    head = struct.pack(">II", FRONT_COVER, len(mime)) + mime + struct.pack(">I", 0)
    sizes = (picture.width, picture.height, picture.depth, picture.colors, len(picture.data))
    return head + struct.pack(">5I", *sizes) + picture.data


def picture_in(block: bytes) -> EmbeddedPicture | None:
    """The picture of a block's body, cut short or not; None where it is only a link to one."""
    if len(block) < 8:
        return None
    kind, length = struct.unpack_from(">II", block)
    text = 8 + length
    if block[8:text] == LINK.encode():
        return None
    sizes = text + 4 + int.from_bytes(block[text : text + 4], "big")
    return EmbeddedPicture(block[sizes + 20 :], kind)
