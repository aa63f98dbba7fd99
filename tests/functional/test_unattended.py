"""As cron, systemd and containers run it: no terminal, no HOME, and the locale C."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from tests.functional.conftest import Run
from tests.media import encode

CHECKOUT = Path(__file__).parents[2]


def test_without_a_folder_for_temporary_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    assert "set TMPDIR to a writable folder" in run("runs", expect=2).stderr


def test_without_terminal_home_and_locale(tmp_path: Path) -> None:
    tags = {"artist": "Ärger", "album": "Föhn", "title": "Größe"}
    track = encode(tmp_path / "music/Föhn/01 Größe.flac", "flac", seconds=1.0, tags=tags)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "LC_ALL": "C",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    options = ["--model", "poster", "--size", "64", "--title", "full", "--json", "--quiet"]
    result = subprocess.run(
        [sys.executable, "-m", "covergen", "tag", *options, str(tmp_path / "music")],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    album, summary = map(json.loads, result.stdout.splitlines())
    assert (album["title"], album["result"]) == ("Föhn", "painted")
    assert album["provenance"]["title"] == "full"
    assert summary["type"] == "summary"
    assert len(FLAC(track).pictures) == 1
