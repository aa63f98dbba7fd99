"""Other programs show the covers that covergen embeds, byte for byte.

Which program reads which container is in .docs/containers.md. Each has a parser of its own, except
mediafile and quodlibet, which choose among what mutagen finds. A program that is not installed is
skipped.
"""

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import taglib

from covergen.library.pictures_in_files import read_pictures
from tests.home import run_at_home
from tests.integrations.environments import node_modules_with, python_with
from tests.integrations.mpd import Mpd, running_mpd
from tests.media import CONTAINERS, EXTENSION, encode, picture_bytes, put_picture

pytestmark = pytest.mark.integrations

DOCS = Path(__file__).parents[2] / ".docs/containers.md"
NAMES_IN_DOCS = {"WMA": "asf", "Monkey's Audio": "ape"}
MUSIC_METADATA = "music-metadata@11.16.1"
PYPI = ("tinytag==2.3.2", "pymediainfo==7.0.1", "mediafile==0.17.0")
BY_PYTHON = Path(__file__).with_name("pictures_by_python.py")
BY_NODE = """
import {createHash} from 'node:crypto';
import {parseFile, selectCover} from 'music-metadata';
const shown = {};
for (const path of process.argv.slice(1)) {
    const cover = await parseFile(path).then(m => selectCover(m.common.picture), () => null);
    if (cover) shown[path] = createHash('sha256').update(cover.data).digest('hex');
}
console.log(JSON.stringify(shown));
"""

Shown = Mapping[Path, str]
"""The SHA-256 of the picture that a program shows for each file."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A library with two albums of all containers, and what covergen embedded in each file."""

    root: Path
    container: Mapping[Path, str]
    embedded: Shown


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Tagged:
    """The files of one album had no cover; those of the other a front and a back cover."""
    folder = tmp_path_factory.mktemp("readers")
    container = {}
    for album in ("Bare", "Replaced"):
        for name in CONTAINERS:
            path = folder / "music" / album / f"{name}{EXTENSION[name]}"
            encode(path, name, seconds=0.5, tags={"artist": "Ada", "album": album, "title": name})
            if album == "Replaced":
                for kind in (3,) if name == "mp4" else (3, 4):  # MP4 has no types
                    put_picture(path, name, picture_bytes("png", 24, (kind, 0, 0)), kind=kind)
            container[path] = name
    run_at_home(folder, "tag", "--model", "poster", "--force", "--sidecar", folder / "music")
    embedded = {
        path: _sha256(read_pictures(path, name)[0].data) for path, name in container.items()
    }
    return Tagged(folder / "music", container, embedded)


@pytest.fixture(scope="session")
def mpd(tagged: Tagged) -> Iterator[Mpd]:
    _installed("mpd")
    with running_mpd(tagged.root) as mpd:
        mpd.update()
        yield mpd


@pytest.fixture(scope="session")
def python() -> Path:
    return python_with(*PYPI)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    return node_modules_with(MUSIC_METADATA)


def _installed(program: str) -> str:
    path = shutil.which(program)
    return path or pytest.skip(f"{program} is not installed")


def _sha256(data: bytes) -> str:
    return sha256(data).hexdigest()


def _json(*command: object, cwd: Path | None = None) -> dict[str, Any]:
    words = [str(word) for word in command]
    printed = subprocess.run(words, capture_output=True, check=True, cwd=cwd).stdout
    return json.loads(printed)


def by_ffmpeg(tagged: Tagged) -> Shown:
    """The first attached picture: what players based on FFmpeg show."""
    ffprobe = _installed("ffprobe")
    entries = "stream=index:stream_disposition=attached_pic:packet=stream_index,data_hash"
    options = ["-v", "error", "-select_streams", "v", "-show_entries", entries]
    shown = {}
    for path in tagged.container:
        found = _json(ffprobe, *options, "-show_data_hash", "sha256", "-of", "json", path)
        attached = [s["index"] for s in found["streams"] if s["disposition"]["attached_pic"]]
        hashes = {p["stream_index"]: p["data_hash"] for p in found["packets"]}
        if attached:
            shown[path] = hashes[attached[0]].partition(":")[2].lower()
    return shown


def by_exiftool(tagged: Tagged) -> Shown:
    """The first picture that it extracts."""
    exiftool = _installed("exiftool")
    tags = ("Picture", "CoverArt", "CoverArtFront", "AttachedFileData")
    options = ["-json", "-b", "-a", "-G4", *(f"-{tag}" for tag in tags)]
    command = [exiftool, *options, *map(str, tagged.container)]
    # Its exit status is 1 if there is a file that it does not know.
    result = subprocess.run(command, capture_output=True, check=False)
    shown = {}
    for fields in json.loads(result.stdout):
        path = Path(fields.pop("SourceFile"))
        pictures = [value for name, value in fields.items() if name.rpartition(":")[2] in tags]
        if pictures:
            shown[path] = _sha256(b64decode(pictures[0].removeprefix("base64:")))
    return shown


def by_taglib(tagged: Tagged) -> Shown:
    """The first front cover."""
    shown = {}
    for path in tagged.container:
        with taglib.File(path) as file:
            fronts = [p.data for p in file.pictures if p.picture_type in ("Front Cover", "")]
        if fronts:
            shown[path] = _sha256(fronts[0])
    return shown


def by_quodlibet(tagged: Tagged) -> Shown:
    """The primary image, by the Python that Debian's package is for."""
    _installed("quodlibet")
    shown = _json("/usr/bin/python3", BY_PYTHON, "quodlibet", *tagged.container)
    return {Path(path): value for path, value in shown.items()}


READERS = {
    "FFmpeg": by_ffmpeg,
    "exiftool": by_exiftool,
    "TagLib": by_taglib,
    "quodlibet": by_quodlibet,
}
PACKAGES = {"MediaInfo": "pymediainfo", "tinytag": "tinytag", "mediafile": "mediafile"}


def documented(program: str) -> set[str]:
    """The containers in which the program shows covers, according to the documentation."""
    (table,) = DOCS.read_text().partition("\n| shown by |")[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in f"| |{table}".splitlines()]
    rows = rows[: rows.index([])]
    (column,) = (at for at, head in enumerate(rows[0]) if head.rpartition(" ")[0] == program)
    names = [name for row in rows[2:] if row[column] for name in row[0].split(", ")]
    return {NAMES_IN_DOCS.get(name, name.lower().replace(" ", "")) for name in names}


def assert_shows(program: str, tagged: Tagged, shown: Shown) -> None:
    containers = documented(program)
    assert containers <= set(CONTAINERS)
    expected = {p: h for p, h in tagged.embedded.items() if tagged.container[p] in containers}
    assert {path: shown.get(path) for path in expected} == expected


@pytest.mark.parametrize("program", READERS)
def test_program_shows_the_cover(tagged: Tagged, program: str) -> None:
    assert_shows(program, tagged, READERS[program](tagged))


@pytest.mark.parametrize("program", PACKAGES)
def test_package_from_pypi_shows_the_cover(tagged: Tagged, python: Path, program: str) -> None:
    shown = _json(python, BY_PYTHON, PACKAGES[program], *tagged.container)

    assert_shows(program, tagged, {Path(path): value for path, value in shown.items()})


def test_music_metadata_selects_the_cover(tagged: Tagged, node_modules: Path) -> None:
    command = ["node", "--input-type=module", "--eval", BY_NODE, "--", *tagged.container]
    shown = _json(*command, cwd=node_modules)

    assert_shows("music-metadata", tagged, {Path(path): value for path, value in shown.items()})


def test_mpd_sends_the_cover(tagged: Tagged, mpd: Mpd) -> None:
    shown = {}
    for path in tagged.container:
        if data := mpd.picture("readpicture", str(path.relative_to(tagged.root))):
            shown[path] = _sha256(data)

    assert_shows("mpd", tagged, shown)


def test_mpd_sends_the_cover_file(tagged: Tagged, mpd: Mpd) -> None:
    for album in ("Bare", "Replaced"):
        cover = (tagged.root / album / "cover.png").read_bytes()

        assert mpd.picture("albumart", f"{album}/flac.flac") == cover
        assert _sha256(cover) == tagged.embedded[tagged.root / album / "flac.flac"]
