"""A picture as it lies in a file's tags."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FRONT_COVER", "ICONS", "LINK", "EmbeddedPicture", "Gone", "is_front_cover"]

FRONT_COVER = 3
"""The type of a front cover in ID3, FLAC and ASF (ID3v2.4 frames, section 4.14)."""

ICONS = (1, 2)
"""The types of the 32×32 file icon and of any other file icon."""

LINK = "-->"
"""The MIME type of a picture that is only linked to: the data is an address, no image."""


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """The bytes of an image, and its ID3 picture type: 3 is the front cover, 0 is unspecified.

    Containers without types are read in their terms: MP4's first picture is the front cover.
    """

    data: bytes
    kind: int


Gone = Callable[[EmbeddedPicture], bool]
"""Which pictures an edit takes out of a file."""


def is_front_cover(picture: EmbeddedPicture) -> bool:
    """Whether players show it as the front cover."""
    return picture.kind == FRONT_COVER
