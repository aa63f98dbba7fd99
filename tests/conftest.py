"""What every test stands on: no network, no traces outside a temporary folder."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["tests.functional.painted", "tests.media.fixtures"]

_LOOPBACK = ("127.", "::1", "localhost")
_MYPY = pytest.StashKey["subprocess.Popen[str]"]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin with the types: they take as long as a hundred tests, and so stand beside them."""
    wanted = any("mypy" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        session.stash[_MYPY] = subprocess.Popen(
            [Path(sys.executable).with_name("mypy")],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing behind where the tests end early."""
    if process := session.stash.get(_MYPY, None):
        with process:
            process.kill()


@pytest.fixture
def mypy(request: pytest.FixtureRequest) -> "subprocess.Popen[str]":
    """mypy, looking at the whole tree."""
    return request.session.stash[_MYPY]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(_LOOPBACK):  # type: ignore[index]  # an address is a tuple but for AF_UNIX
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]  # as handed in

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _no_open_databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test leaves open: Python 3.13 warns when such a connection is collected."""
    connect, opened = sqlite3.connect, []

    def remembered(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    yield
    for connection in opened:
        connection.close()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home for covergen's own files: cache, config and state."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("CACHE", "CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.setenv("HOME", str(folder))
    for name in [n for n in os.environ if n.startswith("COVERGEN_")]:
        monkeypatch.delenv(name)
    return folder
