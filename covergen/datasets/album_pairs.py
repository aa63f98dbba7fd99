"""Make pairs from a music library: the albums' covers, with excerpts of their tracks.

The library is only read. An excerpt consists of exactly the windows that covergen embeds of a
track, so both have the same embedding.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from covergen.audio.sound_file import write_sound
from covergen.audio.window_positions import SAMPLE_RATE_HZ, WINDOW_SECONDS
from covergen.audio.windows import read_excerpt
from covergen.core.album import Action, Album, AlbumPlan, Track
from covergen.core.atomic_write import write_whole
from covergen.core.cover_encoding import is_own
from covergen.core.os_errors import write_errors
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.datasets.folder import AUDIO, IMAGES
from covergen.datasets.image_files import decode_picture
from covergen.datasets.metadata import Row
from covergen.library.pictures_in_files import covers_of

_EXCERPT_SUFFIX = ".opus"
_MAX_NAME_LENGTH = 64  # characters of a stem before its hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The number of tracks per album and windows per track, and whether to use painted covers."""

    per_album: int
    windows: int
    include_painted: bool


def plan_pairs(
    album: Album, selection: Selection, done: Container[str]
) -> tuple[AlbumPlan, Picture | None]:
    """Plan an album: the targets are the tracks whose pairs are missing from the dataset.

    `done` are the stems of existing pairs. Returns the cover with a plan to collect, else None.
    """
    chosen = _spread(album.tracks, selection.per_album)
    targets = tuple(track for track in chosen if stem_of(album, track) not in done)
    if not targets:
        return AlbumPlan.skip(album, Reason.COLLECTED), None
    cover = _cover_of(album, include_painted=selection.include_painted)
    if isinstance(cover, Reason):
        return AlbumPlan.skip(album, cover), None
    plan = AlbumPlan(album=album, action=Action.COLLECT, reason=Reason.HAS_ART, targets=targets)
    return plan, cover


def make_pair(
    track: Track, album: Album, cover: Picture, folder: Path, *, windows: int, source: str
) -> Row:
    """Write a track's excerpt and the album's cover, unchanged, to the dataset `folder`.

    Returns the row for metadata.csv. Raises DecodeError and WriteError.
    """
    stem = stem_of(album, track)
    audio = folder / AUDIO / f"{stem}{_EXCERPT_SUFFIX}"
    image = folder / IMAGES / f"{stem}{cover.extension}"
    excerpt = read_excerpt(track.path, windows).decode()
    with write_errors(audio):
        audio.parent.mkdir(parents=True, exist_ok=True)
        write_sound(audio, excerpt.reshape(1, -1), sample_rate_hz=SAMPLE_RATE_HZ)
    with write_errors(image):
        image.parent.mkdir(parents=True, exist_ok=True)
        write_whole(image, cover.data)
    width, height = str(cover.width), str(cover.height)
    return Row(
        track_name=track.title or track.path.stem,
        artist_name=track.artist or album.artist,
        album_name=album.title,
        audio_filename=audio.name,
        image_filename=image.name,
        original_audio_duration_s=f"{track.duration_seconds:.3f}",
        actual_snippet_duration_s=str(len(excerpt) * WINDOW_SECONDS),
        image_original_width_px=width,
        image_original_height_px=height,
        image_saved_width_px=width,
        image_saved_height_px=height,
        album_key=album.key,
        source=source,
        release_date=album.date,
    )


def stem_of(album: Album, track: Track) -> str:
    """Return the name of a pair: readable, the same in every run, and unique to the track."""
    identity = f"{album.key}/{track.path.parent.resolve().name}/{track.path.name}"
    digest = hashlib.blake2b(os.fsencode(identity), digest_size=4).hexdigest()
    words = unicodedata.normalize("NFKD", f"{album.artist} {album.title} {track.path.stem}").lower()
    ascii_words = words.encode("ascii", "ignore").decode()
    readable = re.sub(r"[^a-z0-9]+", "-", ascii_words)[:_MAX_NAME_LENGTH].strip("-")
    return f"{readable or 'album'}-{digest}"


def _spread(tracks: Sequence[Track], count: int) -> list[Track]:
    """Return up to `count` tracks, evenly spread over the album."""
    count = min(count, len(tracks))
    return [tracks[(2 * i + 1) * len(tracks) // (2 * count)] for i in range(count)]


def _cover_of(album: Album, *, include_painted: bool) -> Picture | Reason:
    """Return the album's first usable cover, or the reason why there is none."""
    reason = Reason.NO_COVER
    for data in covers_of(album):
        if is_own(data) and not include_painted:
            reason = Reason.PAINTED_COVER
            continue
        try:
            decode_picture(data)
            return Picture.parse(data)
        except ValueError:
            reason = Reason.BAD_COVER
    return reason
