"""Parse a track of Jamendo's API into plain text and numbers."""

import re
from dataclasses import dataclass
from typing import Any

from covergen.datasets.jamendo.licenses import license_name

_ID = re.compile(r"[0-9]{1,18}")
_MAX_TEXT_LENGTH = 500
_MAX_URL_LENGTH = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class JamendoTrack:
    """A track and its cover. `id` and `album_id` contain only digits; a single has no `album_id`.

    `audio_url` is "" if the artist does not allow downloads, `image_url` if there is no cover.
    """

    id: str
    title: str
    artist: str
    album: str
    album_id: str
    duration_seconds: int
    release_date: str
    genre: str
    license_url: str
    audio_url: str
    image_url: str

    @property
    def album_key(self) -> str:
        """The key shared by all tracks with the same cover."""
        return f"jamendo-album-{self.album_id}" if self.album_id else track_key(self.id)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the track and its cover, to skip those that a dataset already has."""
        return frozenset({self.album_key, track_key(self.id)})

    @property
    def page(self) -> str:
        """The URL of its web page."""
        return f"https://www.jamendo.com/track/{self.id}"

    @property
    def attribution(self) -> str:
        """Title, author, source and license, as recommended by Creative Commons."""
        terms = f"{license_name(self.license_url)} ({self.license_url})"
        return f"“{self.title}” by {self.artist} ({self.page}), {terms}"


def track_key(track_id: str) -> str:
    """Return the key of a track, which is also the album key of a single."""
    return f"jamendo-track-{track_id}"


def parse_track(result: object) -> JamendoTrack | None:
    """Parse one result of the API; None if it has no valid ID."""
    if not isinstance(result, dict) or not _ID.fullmatch(plain_text(result.get("id"))):
        return None
    album_id, duration = plain_text(result.get("album_id")), plain_text(result.get("duration"))
    permitted = plain_text(result.get("audiodownload_allowed")) == "true"
    return JamendoTrack(
        id=plain_text(result["id"]),
        title=plain_text(result.get("name")),
        artist=plain_text(result.get("artist_name")),
        album=plain_text(result.get("album_name")),
        album_id=album_id if _ID.fullmatch(album_id) else "",
        duration_seconds=int(duration) if _ID.fullmatch(duration) else 0,
        release_date=plain_text(result.get("releasedate")),
        genre=_genre(result),
        license_url=plain_text(result.get("license_ccurl")),
        audio_url=_url(result.get("audiodownload")) if permitted else "",
        image_url=_url(result.get("album_image")) or _url(result.get("image")),
    )


def _genre(result: dict[str, Any]) -> str:
    value: object = result
    for name in ("musicinfo", "tags", "genres"):
        value = value.get(name) if isinstance(value, dict) else None
    return plain_text(", ".join(map(plain_text, value))) if isinstance(value, list) else ""


def plain_text(value: object) -> str:
    """Return a string, integer or boolean as one printable line; "" for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int):
        return ""
    line = "".join(c if c.isprintable() else " " for c in str(value)[:_MAX_TEXT_LENGTH])
    return " ".join(line.split())


def _url(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_URL_LENGTH:
        return ""
    return value if value.startswith(("https://", "http://")) else ""
