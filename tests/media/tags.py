"""Write tags and pictures with mutagen, following each container's conventions."""

import base64
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mutagen import id3
from mutagen.aiff import AIFF
from mutagen.apev2 import BINARY, APEValue
from mutagen.asf import ASF, ASFBoolAttribute, ASFByteArrayAttribute
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3
from mutagen.monkeysaudio import MonkeysAudio
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.musepack import Musepack
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.trueaudio import TrueAudio
from mutagen.wave import WAVE
from mutagen.wavpack import WavPack
from PIL import Image, UnidentifiedImageError

from tests.media.matroska import put_matroska_picture, put_matroska_tags

__all__ = ["put_picture", "put_tags"]

# Sources: MusicBrainz Picard's tag mapping for ID3, Vorbis comments, MP4, ASF and APEv2.
_COLUMNS = ("id3", "vorbis", "mp4", "asf", "apev2")
_ROWS = {
    "title": ("TIT2", "TITLE", "\xa9nam", "Title", "Title"),
    "artist": ("TPE1", "ARTIST", "\xa9ART", "Author", "Artist"),
    "album": ("TALB", "ALBUM", "\xa9alb", "WM/AlbumTitle", "Album"),
    "album_artist": ("TPE2", "ALBUMARTIST", "aART", "WM/AlbumArtist", "Album Artist"),
    "date": ("TDRC", "DATE", "\xa9day", "WM/Year", "Year"),
    "track_number": ("TRCK", "TRACKNUMBER", "trkn", "WM/TrackNumber", "Track"),
    "disc_number": ("TPOS", "DISCNUMBER", "disk", "WM/PartOfSet", "Disc"),
    "compilation": ("TCMP", "COMPILATION", "cpil", "WM/IsCompilation", "Compilation"),
    "musicbrainz_album_id": (
        "MusicBrainz Album Id",
        "MUSICBRAINZ_ALBUMID",
        "----:com.apple.iTunes:MusicBrainz Album Id",
        "MusicBrainz/Album Id",
        "MUSICBRAINZ_ALBUMID",
    ),
}
_OPENERS: dict[str, Any] = {
    "mp3": MP3,
    "flac": FLAC,
    "mp4": MP4,
    "vorbis": OggVorbis,
    "opus": OggOpus,
    "speex": OggSpeex,
    "oggflac": OggFLAC,
    "wav": WAVE,
    "aiff": AIFF,
    "asf": ASF,
    "ape": MonkeysAudio,
    "wavpack": WavPack,
    "musepack": Musepack,
    "tta": TrueAudio,
    "dsf": DSF,
    "dff": DSDIFF,
}


def put_tags(path: Path, container: str, tags: Mapping[str, str], *, id3_version: int = 3) -> None:
    """Write tags, named like the fields of `covergen.core.album.Track`, and keep all others.

    Numbers may be "3" or "3/12"; `compilation` is "1" or absent. `id3_version` is 3 or 4.
    """
    if container == "matroska":
        put_matroska_tags(path, tags)
        return
    file = _opened(path, container)
    for name, value in tags.items():
        key = dict(zip(_COLUMNS, _ROWS[name], strict=True))
        match container:
            case "mp4":
                file[key["mp4"]] = [_mp4_value(name, value)]
            case "asf":
                file[key["asf"]] = ASFBoolAttribute(True) if name == "compilation" else value
            case "ape" | "wavpack" | "musepack":
                file[key["apev2"]] = value
            case "flac" | "vorbis" | "opus" | "speex" | "oggflac":
                file[key["vorbis"]] = value
            case _:
                file.tags.add(_id3_frame(key["id3"], value))
    _save(file, id3_version)


def put_picture(
    path: Path, container: str, data: bytes, *, kind: int = 3, id3_version: int = 3
) -> None:
    """Embed one more PNG or JPEG picture, or bytes that are none, said to be a JPEG.

    `kind` is the ID3 picture type; MP4 keeps no type, APEv2 and Matroska tell front, back and other
    apart.
    """
    if container == "matroska":
        put_matroska_picture(path, data, kind)
        return
    file = _opened(path, container)
    picture = _described(data, kind)
    match container:
        case "mp4":
            png = picture.mime == "image/png"
            form = MP4Cover.FORMAT_PNG if png else MP4Cover.FORMAT_JPEG
            file["covr"] = [*file.get("covr", []), MP4Cover(data, form)]
        case "asf":
            file["WM/Picture"] = [*file.get("WM/Picture", []), _asf_picture(picture)]
        case "ape" | "wavpack" | "musepack":
            name = picture.mime.replace("image/", "cover.").encode()
            side = {3: "Front", 4: "Back"}.get(kind, "Other")
            file[f"Cover Art ({side})"] = APEValue(name + b"\0" + data, BINARY)
        case "flac":
            file.add_picture(picture)
        case "vorbis" | "opus" | "speex" | "oggflac":
            block = base64.b64encode(picture.write()).decode("ascii")
            key = "metadata_block_picture"
            file[key] = [*file.get(key, []), block]
        case _:
            description = "" if kind == 3 else str(kind)
            frame = id3.APIC(encoding=0, mime=picture.mime, type=kind, desc=description, data=data)
            file.tags.add(frame)
    _save(file, id3_version)


def _opened(path: Path, container: str) -> Any:  # noqa: ANN401 - mutagen is untyped
    file = _OPENERS[container](path)
    if file.tags is None:
        file.add_tags()
    return file


def _save(file: Any, id3_version: int) -> None:  # noqa: ANN401 - mutagen is untyped
    if not isinstance(file.tags, ID3):
        file.save()
        return
    if id3_version == 3:
        file.tags.update_to_v23()  # replaces TDRC with TYER and TDAT
    file.save(v2_version=id3_version)


def _id3_frame(name: str, value: str) -> id3.Frame:
    if " " in name:
        return id3.TXXX(encoding=3, desc=name, text=[value])
    return getattr(id3, name)(encoding=3, text=[value])


def _mp4_value(name: str, value: str) -> object:
    match name:
        case "track_number" | "disc_number":
            number, _, total = value.partition("/")
            return int(number), int(total or 0)
        case "compilation":
            return True
        case "musicbrainz_album_id":
            return value.encode()
    return value


def _described(data: bytes, kind: int) -> Picture:
    picture = Picture()
    picture.data, picture.type, picture.depth, picture.mime = data, kind, 24, "image/jpeg"
    with suppress(UnidentifiedImageError), Image.open(io.BytesIO(data)) as image:
        picture.mime = Image.MIME[image.format or ""]
        picture.width, picture.height = image.size
    return picture


def _asf_picture(picture: Picture) -> ASFByteArrayAttribute:
    """Source: the WM_PICTURE structure of the Windows Media Format SDK."""
    head = bytes([picture.type]) + len(picture.data).to_bytes(4, "little")
    mime_and_description = (picture.mime + "\0\0").encode("utf-16-le")
    return ASFByteArrayAttribute(head + mime_and_description + picture.data)
