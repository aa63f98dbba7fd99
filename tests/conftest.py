"""What every test stands on: no network, no traces outside a temporary folder."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

import gc
import socket
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.home import set_home

gc.set_threshold(50_000)  # as covergen does, since its imports make a million objects that stay

pytest_plugins = [
    "tests.decoders",
    "tests.functional.painted",
    "tests.media.fixtures",
    "tests.wheel",
]

_TESTS = Path(__file__).parent
_NUMBERS = count()
_LOOPBACK = ("127.", "::1", "localhost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the folders that take long."""
    for item in items:
        if (folder := item.path.relative_to(_TESTS).parts[0]) in ("browser", "faults"):
            item.add_marker(folder)


def pytest_collection_finish() -> None:
    gc.freeze()


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
    folder = tmp_path_factory.getbasetemp() / f"homes/{next(_NUMBERS)}"
    folder.mkdir(parents=True)
    set_home(monkeypatch, folder)
    for name in [n for n in os.environ if n.startswith("COVERGEN_")]:
        monkeypatch.delenv(name)
    return folder
