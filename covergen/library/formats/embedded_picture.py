"""A picture embedded in a file's tags."""

from collections.abc import Callable
from dataclasses import dataclass

FRONT_COVER = 3
"""The picture type of a front cover in ID3, FLAC and ASF (ID3v2.4 frames, section 4.14)."""

ICONS = (1, 2)
"""The picture types of the 32×32 file icon and of other file icons."""

LINK = "-->"
"""The MIME type of a link to a picture: the data is a URL."""


class TooLargeError(Exception):
    """A picture does not fit into a file; the message says why."""


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """The bytes of an image, and its ID3 picture type: 3 is the front cover, 0 is unspecified.

    In containers without types, such as MP4, the first picture is the front cover.
    """

    data: bytes
    kind: int


PictureFilter = Callable[[EmbeddedPicture], bool]
"""A predicate that selects the pictures to remove."""


def is_kept(picture: EmbeddedPicture | None, should_remove: PictureFilter) -> bool:
    """Whether an edit keeps an item of a tag, with its picture if it is one."""
    return picture is None or not should_remove(picture)


def is_front_cover(picture: EmbeddedPicture) -> bool:
    """Whether the picture's type is front cover."""
    return picture.kind == FRONT_COVER
