"""The decoder process: same results as in process, and crashes are contained."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from covergen.audio.decoder_pool import Decoder, Decoders
from covergen.audio.mel import LogMel
from covergen.audio.windows import read_excerpt
from covergen.core.errors import CovergenError, DecodeError
from tests.media import encode
from tests.tiny_clap import LAION_MEL
from tests.unit.audio.processes import children

pytestmark = pytest.mark.processes

LOG_MEL = LogMel(LAION_MEL)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with closing(Decoder(LOG_MEL)) as decoder:
        yield decoder


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python that is started from now on does what the names of the files say."""
    folder = tmp_path / "faulty"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        textwrap.dedent("""
            import faulthandler, os, time
            from covergen.audio import windows

            def read(path, count, *, read=windows.read_excerpt):
                if path.stem == "crash":
                    os.abort()
                if path.stem == "forever":
                    faulthandler.cancel_dump_traceback_later()
                if path.stem in ("endless", "forever"):
                    time.sleep(3600)
                if path.stem == "bug":
                    raise ZeroDivisionError("of all things")
                if path.stem == "printing":
                    os.write(1, b"FFmpeg says hello")
                return read(path, count)

            def soon(seconds, *, later=faulthandler.dump_traceback_later, **options):
                later(seconds / 1800, **options)

            windows.read_excerpt = read
            faulthandler.dump_traceback_later = soon
        """)
    )
    monkeypatch.syspath_prepend(folder)


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def wait_until_ended(process: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(process):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_result_equals_decoding_in_process(decoder: Decoder, tmp_path: Path) -> None:
    for container, seconds in (("mp3", 12), ("flac", 25), ("mp4", 3)):
        path = encode(tmp_path / "a", container, seconds=seconds, kind="noise")
        excerpt = read_excerpt(path, 2)
        assert decoder.read(path, 2) == excerpt.key
        np.testing.assert_allclose(decoder.decode(path), LOG_MEL(excerpt.decode()), atol=1e-4)


def test_decode_error_is_the_same_as_in_process(decoder: Decoder, tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("no music" * 100)
    for path in (text, tmp_path / "missing.mp3", tmp_path / "odd \udcff\n.mp3"):
        with pytest.raises(DecodeError) as here:
            read_excerpt(path, 2)
        with pytest.raises(DecodeError) as there:
            decoder.read(path, 2)
        assert str(there.value) == str(here.value)
        assert (there.value.path, there.value.reason) == (here.value.path, here.value.reason)


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(
    ("name", "words"),
    [("crash", "FFmpeg crashed on it"), ("endless", "more than half an hour")],
)
def test_crash_fails_only_that_file(
    decoder: Decoder, tmp_path: Path, name: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    good = encode(tmp_path / "good.wav", "wav")
    bad = encode(tmp_path / f"{name}.wav", "wav")
    key = decoder.read(good, 1)
    with pytest.raises(DecodeError, match=words) as raised:
        decoder.read(bad, 1)
    assert raised.value.path == bad
    assert "restore it from a backup" in raised.value.hint
    assert decoder.read(good, 1) == key
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("faulty")
def test_bug_raises_with_traceback(decoder: Decoder, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError: of all things"):
        decoder.read(tmp_path / "bug.wav", 1)


@pytest.mark.usefixtures("faulty")
def test_library_output_does_not_corrupt_replies(
    decoder: Decoder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = encode(tmp_path / "printing.wav", "wav")
    assert decoder.read(path, 1) == read_excerpt(path, 1).key
    decoder.close()
    assert capfd.readouterr().out == ""


@LINUX
def test_killed_idle_process_is_restarted(decoder: Decoder, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "wav")
    before = children(os.getpid())
    key = decoder.read(path, 1)
    (child,) = children(os.getpid()) - before
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # which leaves it to be asked for
    assert decoder.read(path, 1) == key


def test_missing_interpreter_raises_covergen_error(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with pytest.raises(CovergenError, match=r"failed to start: .*No such file") as raised:
        decoder.read(tmp_path / "a.wav", 1)
    assert not isinstance(raised.value, DecodeError)
    assert "--jobs" in raised.value.hint


def test_process_uses_the_same_module_path(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder must not shadow the standard library."""
    path = encode(tmp_path / "a.wav", "wav")
    for name in ("av", "numpy", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert decoder.read(path, 1) == read_excerpt(path, 1).key


@LINUX
def test_processes_are_started_only_as_needed(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "wav")
    before = children(os.getpid())
    with closing(Decoders(4, LOG_MEL)) as decoders:
        assert children(os.getpid()) == before
        for _ in range(3):
            decoders.submit(Decoder.read, path, 1).result()
        assert len(children(os.getpid()) - before) == 1
    assert children(os.getpid()) == before


@LINUX
@pytest.mark.usefixtures("faulty")
def test_close_does_not_wait_for_decoding(tmp_path: Path) -> None:
    before = children(os.getpid())
    decoders = Decoders(2, LOG_MEL)
    waiting = [decoders.submit(Decoder.read, tmp_path / "forever.wav", 1) for _ in range(4)]
    while len(children(os.getpid()) - before) < 2:
        time.sleep(0.01)
    leaving = Thread(target=decoders.close, daemon=True)
    leaving.start()
    leaving.join(10)
    assert not leaving.is_alive()
    assert children(os.getpid()) == before
    assert all(future.done() for future in waiting)


def test_process_started_after_stop_is_killed(decoder: Decoder, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "wav")
    decoder.stop()
    with pytest.raises(CovergenError, match="failed to start"):
        decoder.read(path, 1)


@LINUX
@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a", signal.SIGKILL),
        ("a", signal.SIGINT),
        ("forever", signal.SIGKILL),
    ],
)
def test_decoder_ends_with_its_parent(tmp_path: Path, name: str, wanted: signal.Signals) -> None:
    """Killed while it waits for windows, which are more than a pipe holds; or for FFmpeg."""
    path = encode(tmp_path / f"{name}.flac", "flac", seconds=30)
    script = f"""
import itertools, pathlib, signal
from covergen.audio.decoder_pool import Decoder
from tests.unit.audio.processes import Windows
signal.signal(signal.SIGINT, signal.default_int_handler)  # which may be ignored here
path = pathlib.Path({str(path)!r})
decoder = Decoder(Windows())
print("begun", flush=True)
for _ in itertools.count():
    decoder.read(path, 3)
    decoder.decode(path)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "begun\n"
    while not (found := children(parent.pid)):
        time.sleep(0.01)
    time.sleep(0.5)  # until it is at work
    os.killpg(parent.pid, wanted)  # as a terminal does
    said = parent.communicate(timeout=10)[1]  # a process left behind would hold the pipe
    for child in found:
        wait_until_ended(child)
    assert "decoder_process" not in said
    assert parent.returncode == -wanted
