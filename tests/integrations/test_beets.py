"""The plugin in the wheel, in the real beets: after an import, and as a command."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from tests.functional.conftest import snapshot
from tests.integrations.environments import python_with
from tests.media import encode, picture_bytes, put_picture

pytestmark = pytest.mark.integrations

BEETS = "beets==2.14.1"


@pytest.fixture(scope="session")
def beets_python() -> Path:
    return python_with(BEETS)


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel installs."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


class Beets:
    """`beet`, with a library of three albums: two without a cover, one with."""

    def __init__(self, python: Path, installed: Path, folder: Path) -> None:
        self._python, self._installed, self._folder = python, installed, folder
        self.music = folder / "music"
        for album, tracks in (
            ("Bare", "12"),
            ("Discs/CD1", "1"),
            ("Discs/CD2", "1"),
            ("Full", "1"),
        ):
            for track in tracks:
                path = self.music / "Ada" / album / f"0{track} Söng.flac"
                title = album.partition("/")[0]
                path.parent.mkdir(parents=True, exist_ok=True)
                tags = {"artist": "Ada", "album": title, "title": f"{album} {track}"}
                encode(path, "flac", seconds=1.0, seed=len(album), tags=tags)
                if title == "Full":
                    put_picture(path, "flac", picture_bytes("png", 40))

    def configure(self, **options: object) -> None:
        command = [sys.executable, "-m", "covergen"]
        lines = [
            f"directory: {self.music}",
            f"library: {self._folder / 'beets.db'}",
            "plugins: [covergen, fetchart, embedart]",
            "import: {copy: no, write: no, autotag: no, quiet: yes}",
            "fetchart: {sources: [filesystem]}",
            "covergen:",
            f"  command: {command}",
            "  args: [--model, poster, --size, '64', --jobs, '1']",
            *(f"  {name}: {value}" for name, value in options.items()),
        ]
        (self._folder / "config.yaml").write_text("\n".join(lines))

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        environment = {
            **os.environ,
            "BEETSDIR": str(self._folder),
            "PYTHONPATH": str(self._installed),
        }
        command = [self._python, "-m", "beets", *arguments]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=self._folder
        )
        assert result.returncode == expect, result.stdout + result.stderr
        return result.stdout + (result.stderr if expect else "")

    def pictures(self, album: str) -> list[int]:
        """How many pictures each track of an album has."""
        tracks = sorted((self.music / "Ada" / album).rglob("*.flac"))
        return [len(FLAC(track).pictures) for track in tracks]

    def art(self) -> dict[str, str]:
        """The art paths that beets knows."""
        printed = self("ls", "-a", "-f", "$album|$artpath").splitlines()
        return dict(line.split("|") for line in printed)


@pytest.fixture
def beet(beets_python: Path, installed: Path, tmp_path: Path) -> Beets:
    return Beets(beets_python, installed, tmp_path)


def test_an_import_paints_covers_for_albums_without_art(beet: Beets) -> None:
    full = snapshot(beet.music / "Ada/Full")
    beet.configure()
    beet("import", str(beet.music))

    assert (beet.pictures("Bare"), beet.pictures("Discs")) == ([1, 1], [1, 1])
    assert snapshot(beet.music / "Ada/Full") == full
    assert beet.art() == {
        "Bare": str(beet.music / "Ada/Bare/cover.png"),
        "Discs": str(beet.music / "Ada/Discs/cover.png"),
        "Full": "",
    }
    assert (beet.music / "Ada/Discs/cover.png").is_file()
    assert beet("update", "--pretend") == ""  # beets knows the new times


def test_the_command_paints_what_the_query_finds(beet: Beets) -> None:
    beet.configure(auto="no")
    beet("import", str(beet.music))
    before = snapshot(beet.music)

    assert "Ada – Bare: no-cover, 2 files to write" in beet("covergen", "--pretend")
    assert snapshot(beet.music) == before

    beet("covergen", "album:Bare")
    assert (beet.pictures("Bare"), beet.pictures("Discs")) == ([1, 1], [0, 0])
    assert beet.art()["Bare"].endswith("Bare/cover.png")

    assert "No albums without art." in beet("covergen", "album:Bare")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"args": "[--model, nonsense]"}, "There is no model 'nonsense'"),
        ({"command": "[echo, half a line]"}, "its output cannot be read: b'half a line"),
    ],
)
def test_errors_are_reported_and_do_not_fail_an_import(
    beet: Beets, options: dict[str, str], problem: str
) -> None:
    beet.configure(**options)
    beet("import", str(beet.music))
    assert beet.pictures("Bare") == [0, 0]
    assert problem in beet("covergen", expect=1)
