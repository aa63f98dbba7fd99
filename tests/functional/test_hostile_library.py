"""Names and things in a library that mean harm: nothing is opened, printed or followed that way."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.conftest import Run
from tests.media import encode, picture_bytes, put_tags

_ROOT = Path(__file__).parents[2]
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]")
HOSTILE = (
    b"\x1b]0;owned\x07\x1b[2J.flac",
    b"one\nwritten   skipped  fake.flac",
    b"back\rwards\x08.flac",
    b"caf\xe9 \xff\xfe.flac",
    "left\u202egnp.flac".encode(),
    "\u009b31m.flac".encode(),
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A library whose files have such names, and titles to match."""
    library = tmp_path / "library"
    for number, name in enumerate(HOSTILE, 1):
        path = encode(library / f"{number}.flac", "flac", seconds=0.2)
        text = name.decode(errors="replace")
        put_tags(path, "flac", {"title": text, "artist": text, "album": text})
        path.rename(library / os.fsdecode(name))
    return library


def covergen(*arguments: object) -> bytes:
    """What a terminal would be sent, as bytes."""
    command = [sys.executable, "-m", "covergen", *map(os.fspath, map(str, arguments))]
    done = subprocess.run(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert b"Traceback" not in done.stdout
    return done.stdout


@pytest.mark.processes
def test_no_name_reaches_the_terminal_raw(hostile: Path) -> None:
    shown = covergen("tag", "-n", "-v", hostile) + covergen("info", hostile, *hostile.iterdir())
    shown += covergen("tag", "-n", *hostile.iterdir()) + covergen("tag", hostile / "\x1b[2Jno")

    assert not _CONTROL.search(shown), shown
    assert b"\\x1b[2J" in shown
    assert b"one\\nwritten" in shown


@pytest.mark.processes
def test_json_has_the_names_as_they_are(hostile: Path) -> None:
    printed = covergen("tag", "-n", "--json", "-q", hostile)

    assert not _CONTROL.search(printed)
    albums = [json.loads(line) for line in printed.splitlines()]
    named = {os.fsencode(Path(path).name) for album in albums for path in album.get("targets", ())}
    assert named == set(HOSTILE)


def test_a_path_of_four_thousand_characters_is_tagged_like_any_other(
    tmp_path: Path, run: Run
) -> None:
    library = tmp_path / "library"
    room = 4000 - len(os.fsencode(library)) - len("/01 Song.flac")
    parts = ["x" * 199] * (room // 200)
    folder = library.joinpath(*parts)
    song = encode(folder / "01 Song.flac", "flac", seconds=0.2)
    before = song.read_bytes()
    assert len(str(song)) > 3700

    run("tag", "-m", "tiny", "--sidecar", library)

    assert song.read_bytes() != before
    assert (folder / "cover.png").exists()
    run("undo", "--yes")
    assert song.read_bytes() == before


def test_a_cover_file_of_a_gigabyte_is_not_read(tmp_path: Path, run: Run) -> None:
    library = tmp_path / "library"
    encode(library / "01 Song.flac", "flac", seconds=0.2)
    with (library / "cover.jpg").open("wb") as file:
        file.write(picture_bytes("jpeg"))
        file.truncate(1 << 30)

    run("tag", "--fill", "--yes", library, expect=1)
