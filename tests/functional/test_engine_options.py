"""What the options of the Ray engine say when they cannot be followed. None of this starts Ray."""

import socket
import sys
import time
from pathlib import Path

import pytest

from covergen.pipeline.engines import ray_cluster
from tests.functional.conftest import Run
from tests.media import encode


@pytest.fixture
def library(tmp_path: Path) -> Path:
    encode(tmp_path / "library/song.flac", "flac", seconds=1)
    return tmp_path / "library"


def test_ray_is_not_imported_unless_asked_for(
    run: Run, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    run("tag", "--yes", "--model", "tiny", library)
    assert "ray" not in sys.modules


def test_without_the_extra_it_says_how_to_install_it(
    run: Run, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    output = run("tag", "--engine", "ray", library, expect=1).output
    assert "needs the Python package ray, which is not installed" in output
    assert "-m pip install 'covergen[ray]'" in output


def test_an_address_at_which_nothing_answers(
    run: Run, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "_SECONDS_TO_ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        output = run(
            "tag", "--yes", "--model", "tiny", "--engine", "ray", "--ray-address", address, library,
            expect=1,
        ).output  # fmt: skip
    assert f"No Ray cluster can be used at {address}: timed out." in output
    output = run("generate", "--model", "tiny", "--engine", "ray", "--ray-address", address,
                 library, "-o", library.parent / "out", expect=1).output  # fmt: skip
    assert f"No Ray cluster can be used at {address}: Connection refused." in output
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ray-address", "auto"), "--ray-address requires --engine ray."),
        (("--path-map", "/a=/b"), "--path-map requires --engine ray."),
        (("--engine", "ray", "--path-map", "/a"), "'/a' is not FROM=TO"),
        (("--engine", "ray", "--path-map", "/a=b"), "'/a=b' is not FROM=TO"),
        (("--engine", "ray", "--ray-address", "ray://head:1"), "is neither HOST:PORT nor auto."),
        (("--engine", "ray", "--device", "cuda:1"), "cuda:1 does not apply to --engine ray"),
    ],
)
def test_options_that_do_not_fit(
    options: tuple[str, ...], message: str, run: Run, library: Path
) -> None:
    assert message in run("tag", *options, library, expect=2).output
