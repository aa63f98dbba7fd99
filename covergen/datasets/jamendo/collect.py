"""Download one pair from Jamendo: a cover and an audio excerpt, checked before they are saved."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from covergen.audio.mp3_cut import cut_mp3
from covergen.core.atomic_write import sync_file, temporary
from covergen.core.errors import DecodeError, ItemError
from covergen.core.os_errors import write_errors
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.datasets.folder import AUDIO, IMAGES
from covergen.datasets.image_files import decode_picture
from covergen.datasets.jamendo.fetch import FetchError, PassingError
from covergen.datasets.jamendo.licenses import license_code
from covergen.datasets.metadata import Row

if TYPE_CHECKING:
    from covergen.datasets.jamendo.fetch import Fetcher
    from covergen.datasets.jamendo.track import JamendoTrack


_IMAGE_LICENSE = "not stated"  # the API gives none for artwork, and the music's may not apply
_MAX_IMAGE_BYTES = 20_000_000
_MAX_IMAGE_PIXELS = 25_000_000
_MAX_AUDIO_BYTES = 100_000_000  # an hour at 224 kbit/s
_ATTEMPTS = 4


def obstacle(track: JamendoTrack, licenses: Collection[str]) -> Reason | None:
    """Return the reason to skip a track, or None if it can be collected."""
    if license_code(track.license_url) not in licenses:
        return Reason.OTHER_LICENSE
    if not track.audio_url:
        return Reason.NO_DOWNLOAD
    return None if track.image_url else Reason.NO_COVER


def audio_file(track: JamendoTrack, folder: Path) -> Path:
    """Return the path of a track's audio in a dataset."""
    return folder / AUDIO / f"{track.id}.mp3"


def collect(track: JamendoTrack, folder: Path, fetcher: Fetcher, *, seconds: float) -> Row:
    """Download a track's cover and audio into a dataset, and return the row for metadata.csv.

    Only the middle `seconds` of the audio are kept; the cover is saved unchanged. Raises ItemError
    if a download fails or cannot be used, and WriteError if it cannot be saved.
    """
    audio = audio_file(track, folder)
    cover = _fetch_cover(track, audio, fetcher)
    image = folder / IMAGES / f"{track.id}{cover.extension}"
    excerpt, excerpt_seconds = _fetch_excerpt(track, audio, fetcher, seconds)
    _write_all({image: cover.data, audio: excerpt})
    return Row(
        jamendo_track_id=track.id,
        track_name=track.title,
        artist_name=track.artist,
        album_name=track.album,
        audio_filename=audio.name,
        image_filename=image.name,
        jamendo_license_cc=license_code(track.license_url),
        original_audio_duration_s=str(track.duration_seconds),
        actual_snippet_duration_s=f"{excerpt_seconds:.3f}",
        image_original_width_px=str(cover.width),
        image_original_height_px=str(cover.height),
        image_saved_width_px=str(cover.width),
        image_saved_height_px=str(cover.height),
        album_key=track.album_key,
        source=track.page,
        jamendo_album_id=track.album_id,
        release_date=track.release_date,
        genre=track.genre,
        license_url=track.license_url,
        image_license=_IMAGE_LICENSE,
        attribution=track.attribution,
    )


def _write_all(files: Mapping[Path, bytes]) -> None:
    """Write all files to temporary names before renaming any."""
    with ExitStack() as stack:
        drafts = {}
        for path, data in files.items():
            stack.enter_context(write_errors(path))
            draft = stack.enter_context(temporary(path.parent, mode=0o666))
            draft.write_bytes(data)
            sync_file(draft)
            drafts[path] = draft
        for path, draft in drafts.items():
            draft.replace(path)


def _fetch_cover(track: JamendoTrack, audio: Path, fetcher: Fetcher) -> Picture:
    file = io.BytesIO()
    _fetch(track.image_url, file, "its cover", audio, fetcher, limit_bytes=_MAX_IMAGE_BYTES)
    try:
        cover = Picture.parse(file.getvalue())
        if cover.width * cover.height > _MAX_IMAGE_PIXELS:
            raise ValueError(f"too large: {cover.width} × {cover.height} pixels")
        decode_picture(cover.data)
        return cover
    except ValueError as error:
        raise ItemError(audio, Reason.BAD_COVER, f"its cover is {error}") from error


def _fetch_excerpt(
    track: JamendoTrack, audio: Path, fetcher: Fetcher, seconds: float
) -> tuple[bytes, float]:
    with write_errors(audio), temporary(audio.parent) as path, path.open("w+b") as file:
        _fetch(track.audio_url, file, "its audio", audio, fetcher, limit_bytes=_MAX_AUDIO_BYTES)
        file.flush()
        try:
            return cut_mp3(path, seconds=seconds)
        except DecodeError as error:
            raise DecodeError(audio, error.message) from error


def _fetch(
    url: str, into: BinaryIO, what: str, audio: Path, fetcher: Fetcher, *, limit_bytes: int
) -> None:
    action = partial(fetcher.fetch, url, into, limit_bytes=limit_bytes)
    try:
        fetcher.patiently(action, attempts=_ATTEMPTS)
    except FetchError as error:
        reason = Reason.NOT_REACHED if isinstance(error, PassingError) else Reason.NOT_GIVEN
        raise ItemError(audio, reason, f"{what}: {error}") from error
