"""Print the SHA-256 of the cover that a Python package shows for each file, as JSON.

Runs in an environment of its own, or in Debian's for quodlibet:
`python pictures_by_python.py PACKAGE FILE…`.
"""

import json
import sys
from base64 import b64decode
from hashlib import sha256


def by_tinytag(path: str) -> bytes | None:
    from tinytag import TinyTag

    cover = TinyTag.get(path, image=True).images.front_cover
    return cover.data if cover else None


def by_mediafile(path: str) -> bytes | None:
    from mediafile import MediaFile

    return MediaFile(path).art


def by_pymediainfo(path: str) -> bytes | None:
    from pymediainfo import MediaInfo

    options = {"Cover_Data": "base64"}
    (track,) = MediaInfo.parse(path, cover_data=True, mediainfo_options=options).general_tracks
    return b64decode(track.cover_data.split(" / ")[0]) if track.cover_data else None


def by_quodlibet(path: str) -> bytes | None:
    import quodlibet

    quodlibet.init_cli()
    from quodlibet.formats import MusicFile

    file = MusicFile(path)
    picture = file.get_primary_image() if file else None
    return picture.read() if picture else None


def main() -> None:
    package, *paths = sys.argv[1:]
    shown = {}
    for path in paths:
        try:
            cover = globals()[f"by_{package}"](path)
        except Exception as error:  # noqa: BLE001 - each package has its own for other containers
            sys.stderr.write(f"{path}: {error!r}\n")
        else:
            if cover:
                shown[path] = sha256(cover).hexdigest()
    sys.stdout.write(json.dumps(shown))


if __name__ == "__main__":
    main()
