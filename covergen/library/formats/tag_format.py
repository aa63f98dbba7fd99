"""What a tag format has to offer, so that covers can be put into its tags."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import mutagen

from covergen.core.picture import Picture
from covergen.library.formats.embedded_picture import EmbeddedPicture, PictureFilter
from covergen.library.formats.keys import Keys
from covergen.library.formats.texts_for_id3 import Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Functions to access the ID3v2 tag of a container.

    `read` returns the tag's bytes, or b"" without one; `store` replaces them (b"" removes the tag).
    `around` returns the other content of the file, as far as it is cheap to read. `others` returns
    the bytes of ID3v2 tags in other places where some players look; `texts` and `pictures` return
    the content of other kinds of tags; all in order of precedence. They raise ValueError or
    struct.error if the file is damaged.
    """

    read: Callable[[BinaryIO], bytes]
    store: Callable[[BinaryIO, bytes], None]
    around: Callable[[BinaryIO], object]
    others: Callable[[BinaryIO], list[bytes]] = lambda _: []
    texts: Callable[[BinaryIO], list[Texts]] = lambda _: []
    pictures: Callable[[BinaryIO], list[EmbeddedPicture]] = lambda _: []


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFormat:
    """How to read and edit the tags of one format.

    `keys` and `pictures` read from a file as opened by mutagen; `others` returns everything else in
    its tags, for comparison.

    The following work on the raw file, and raise ValueError or struct.error if it is damaged:

    - `edit` removes pictures and adds a front cover, and returns a note for the user, or "". Raises
      TooLargeError.
    - `rest` returns all bytes that `edit` must not change, for comparison.
    - `check` raises an error if `edit` would.
    - `check_cost` raises OverflowError for tags that mutagen would take too long to read.
    - `texts` and `place` find texts and ID3v2 tags that mutagen does not read.
    - A new tag may have to repeat texts from other tags: `prefill` adds those to an opened file,
      and `rest(…, prefilled=True)` is what to expect then.
    """

    keys: Keys
    pictures: Callable[[mutagen.FileType], list[EmbeddedPicture]]
    others: Callable[[mutagen.FileType], object]
    edit: Callable[[BinaryIO, PictureFilter, Picture | None], str]
    rest: Callable[..., object]
    check: Callable[[BinaryIO], object]
    check_cost: Callable[[BinaryIO], None] | None = None
    texts: Callable[[BinaryIO], list[Texts]] = lambda _: []
    place: Place | None = None
    prefill: Callable[[mutagen.FileType, BinaryIO], None] | None = None
