"""A small music library with the cases that scanning, planning and writing must handle."""

import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from covergen.core.reasons import Reason
from tests.media.damage import truncated
from tests.media.encode import CONTAINERS, EXTENSION, encode
from tests.media.picture import picture_bytes
from tests.media.sound import KINDS
from tests.media.tags import put_picture, put_tags

__all__ = ["Expected", "Library", "make_library"]

_BLUE = (30, 60, 200)
_CONTAINER = {extension: container for container, extension in EXTENSION.items()}
_UNICODE = "Ärger/東京 Été 🎧 (Live)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The expected plan for a folder, including its disc folders, without options.

    `reason` applies to all `albums`; `tracks` is their total number of files.
    """

    reason: Reason
    albums: int
    tracks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library on disk, with absolute paths.

    `albums` are the folders with music and their expected plans, `failures` the files that a scan
    reports, `ignored` those that it skips silently. One album has pictures in the tracks
    `half_covered` and none in `half_bare`. `broken_off` has complete tags and truncated audio.
    """

    root: Path
    albums: Mapping[Path, Expected]
    failures: Mapping[Path, Reason]
    ignored: tuple[Path, ...]
    every_container: Mapping[str, Path]
    half_covered: tuple[Path, ...]
    half_bare: tuple[Path, ...]
    cover_file: Path
    read_only: Path
    broken_off: Path

    def copy_to(self, root: Path) -> "Library":
        """Copy the library, including modes and times, to a new folder."""
        shutil.copytree(self.root, root)
        return _describe(root)


def make_library(root: Path) -> Library:
    """Make the library in `root`, with distinct clips of one second."""
    library = _describe(root)
    _add_bare_albums(library)
    _add_covered_albums(library)
    _add_trouble(library)
    return library


def _describe(root: Path) -> Library:
    every = root / "Ada Lind/Every Container"
    half, damaged = root / "Half Covered", root / "Damaged"
    expected = {
        every: (Reason.NO_COVER, 1, len(CONTAINERS)),
        root / "Two Discs": (Reason.NO_COVER, 1, 4),
        root / "Compilation": (Reason.NO_COVER, 1, 3),
        root / "Sampler": (Reason.NO_COVER, 1, 2),
        root / "Loose Singles": (Reason.NO_COVER, 3, 3),
        root / "Two Editions": (Reason.NO_COVER, 2, 4),
        root / "Untagged": (Reason.NO_COVER, 1, 3),
        root / _UNICODE: (Reason.NO_COVER, 1, 2),
        root / "Wrong Extensions": (Reason.NO_COVER, 1, 2),
        root / "Icon Only": (Reason.NO_COVER, 1, 2),
        root / "Read Only": (Reason.NO_COVER, 1, 2),
        damaged: (Reason.NO_COVER, 1, 2),
        half: (Reason.PARTIAL_ART, 1, 4),
        root / "Fully Covered": (Reason.HAS_ART, 1, 3),
        root / "Cover Beside": (Reason.HAS_ART, 1, 2),
        root / "Cover Above": (Reason.HAS_ART, 1, 2),
    }
    return Library(
        root=root,
        albums={
            folder: Expected(reason=reason, albums=albums, tracks=tracks)
            for folder, (reason, albums, tracks) in expected.items()
        },
        failures={
            damaged / "03 Beheaded.m4a": Reason.UNREADABLE,
            damaged / "04 Text.mp3": Reason.NOT_AUDIO,
            damaged / "05 Empty.flac": Reason.NOT_AUDIO,
        },
        ignored=(
            root / "Two Discs/CD1/._01 Up.mp3",
            root / "Two Discs/notes.txt",
            root / "Podcasts/Episode.mp3",
            root / ".hidden/Secret.mp3",
        ),
        every_container={
            container: every / f"{number:02} In {container}{EXTENSION[container]}"
            for number, container in enumerate(CONTAINERS, 1)
        },
        half_covered=(half / "02 Dusk.m4a", half / "04 Dawn.m4a"),
        half_bare=(half / "01 Noon.m4a", half / "03 Night.m4a"),
        cover_file=root / "Cover Beside/cover.jpg",
        read_only=root / "Read Only/02 Locked.mp3",
        broken_off=damaged / "02 Broken Off.flac",
    )


def _add_bare_albums(library: Library) -> None:
    root = library.root
    for container, path in library.every_container.items():
        _add(path, container, artist="Ada Lind", album="Every Container", date="1997-05-21")
    for disc in ("1", "2"):
        for name in ("01 Up.mp3", "02 Down.mp3"):
            path = root / f"Two Discs/CD{disc}" / name
            _add(path, artist="Bo Ek", album="Two Discs", date="2001", disc_number=f"{disc}/2")
    for name in ("01 Rye.flac", "02 Oat.mp3", "03 Barley.ogg"):
        _add(root / "Compilation" / name, artist=f"The {name}", album="Grain", compilation="1")
    for name in ("01 Ash.mp3", "02 Elm.mp3"):
        path = root / "Sampler" / name
        _add(path, artist=f"{name} Trio", album="Wood", album_artist="Various Artists")
    for name in ("Cy - Rain.mp3", "Di - Snow.mp3", "Flo - Hail.m4a"):
        _add(root / "Loose Singles" / name, artist=name.partition(" - ")[0])
    for edition in ("1", "2"):
        release = f"00000000-0000-4000-8000-00000000000{edition}"
        for name in (f"01 Alpha ({edition}).flac", f"02 Omega ({edition}).flac"):
            path = root / "Two Editions" / name
            _add(path, artist="Gil", album="Ends", date="1980", musicbrainz_album_id=release)
    for name in ("01.mp3", "02.mp3", "03.mp3"):
        _sound(root / "Untagged" / name, "mp3")
    for name in ("01 Große Fuge.flac", "02 雪 ❄️.mp3"):
        _add(root / _UNICODE / name, artist="Ärger", album=Path(_UNICODE).name)
    _add(root / "Wrong Extensions/01 A FLAC.mp3", "flac", artist="Ida", album="Lies")
    _add(root / "Wrong Extensions/02 An Opus.ogg", "opus", artist="Ida", album="Lies")
    for name in ("01 Pixel.mp3", "02 Dot.mp3"):
        path = _add(root / "Icon Only" / name, artist="Jo", album="Small")
        put_picture(path, "mp3", picture_bytes("png", 32, _BLUE), kind=1)


def _add_covered_albums(library: Library) -> None:
    root = library.root
    for path in (*library.half_covered, *library.half_bare):
        _add(path, artist="Kai", album="Half")
    for path in library.half_covered:
        put_picture(path, "mp4", picture_bytes("jpeg", 64, _BLUE))
    # Many real covers are of type 0, "other".
    for name, kind in (("01 One.flac", 3), ("02 Two.flac", 0), ("03 Three.flac", 3)):
        path = _add(root / "Fully Covered" / name, artist="Lu", album="Full")
        put_picture(path, "flac", picture_bytes("png", 64, _BLUE), kind=kind)
    for name in ("01 Left.opus", "02 Right.opus"):
        _add(root / "Cover Beside" / name, artist="Mo", album="Beside")
    library.cover_file.write_bytes(picture_bytes("jpeg", 64, _BLUE))
    for disc in ("1", "2"):
        path = root / f"Cover Above/Disc {disc}/01 Under.mp3"
        _add(path, artist="Ned", album="Above", disc_number=disc)
    (root / "Cover Above/folder.png").write_bytes(picture_bytes("png", 64, _BLUE))


def _add_trouble(library: Library) -> None:
    _add(library.read_only.with_name("01 Open.mp3"), artist="Oz", album="Lock")
    _add(library.read_only, artist="Oz", album="Lock").chmod(0o444)
    _add(library.broken_off.with_name("01 Whole.flac"), artist="Pia", album="Rift")
    truncated(_add(library.broken_off, artist="Pia", album="Rift"), 0.6)
    headless, text, empty = library.failures
    truncated(_add(headless, artist="Pia", album="Rift"), 0.5)  # the index was at the end
    text.write_text("This is not music.\n" * 100)
    empty.touch()
    for path in library.ignored:
        path.parent.mkdir(exist_ok=True)
        if path.name.startswith("._"):
            path.write_bytes(bytes.fromhex("00051607 00020000") + bytes(4088))
        elif path.suffix == ".txt":
            path.write_text("Thanks to everybody.\n")
        else:
            _add(path, artist="Quin", album="Unheard")
    (library.root / "Podcasts/.ndignore").touch()


def _add(path: Path, container: str = "", **tags: str) -> Path:
    """Make a track with the number and title of its file name, "NN Title"."""
    number, _, title = path.stem.partition(" ")
    tags["title"] = title.removeprefix("- ")
    if number.isdigit():
        tags["track_number"] = str(int(number))
    container = container or _CONTAINER[path.suffix]
    _sound(path, container)
    put_tags(path, container, tags)
    return path


def _sound(path: Path, container: str) -> None:
    seed = zlib.crc32(f"{path.parent.name}/{path.name}".encode())
    encode(path, container, seconds=1.0, kind=KINDS[seed % len(KINDS)], seed=seed)
