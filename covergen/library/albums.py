"""Tracks to albums: which tracks of a folder and its disc folders share one cover.

Within such a place, tracks with the same album title are one album unless something tells them
apart: the album artist, or the MusicBrainz album id; or, where two tracks claim the same number on
the same disc, the artist (without those featured) or the year. So a guest does not split an album,
nor does a compilation whose tracks keep their own years; two editions in one folder are two. A
track that lacks a tag that tells others apart goes with the only album that it can belong to.

Tracks without an album title are singles, each on its own; but where most of them are numbered, no
number comes twice, and no two artists are named, the folder is an album that nobody tagged.
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from covergen.core.types import Album, Track
from covergen.library.names import disc_number
from covergen.library.walk import AlbumFolder

__all__ = ["albums_in"]

_VARIOUS = "Various Artists"
_FEATURED = re.compile(r"\s+[(\[]?(?:feat|ft|featuring)\b.*", re.IGNORECASE | re.DOTALL)
_NAME_NUMBER = re.compile(r"(?:(\d{1,2})-)?(?:track[ _]*)?(\d{1,3})(?!\d)", re.ASCII | re.IGNORECASE)
_NO_NUMBER = 1 << 30  # after all numbers

_Group = list[Track]
_Feature = Callable[[Track], str]


def albums_in(
    place: AlbumFolder, tracks: Sequence[Track], *, per: Literal["album", "track"]
) -> list[Album]:
    """Group the tracks of a folder and its discs, each group in playing order.

    `per="track"` makes an album of every track.
    """
    ordered = sorted(tracks, key=lambda track: _playing_order(track, place.path))
    if per == "track":
        groups = [[track] for track in ordered]
    else:
        groups = _groups(ordered, place.path)
    ...
