"""Decoding in another process: as in this one, and alive when that one is not."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from covergen.audio.decoder import Decoder, Decoders
from covergen.audio.mel import LogMel, MelSettings
from covergen.audio.windows import read_excerpt
from covergen.core.errors import CovergenError, DecodeError
from tests.media import encode

MEL = LogMel(
    MelSettings(
        sampling_rate=48_000,
        feature_size=64,
        fft_window_size=1024,
        hop_length=480,
        frequency_min=50,
        frequency_max=14_000,
    )
)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with closing(Decoder(MEL)) as decoder:
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
                if path.stem == "endless":
                    time.sleep(3600)
                if path.stem == "bug":
                    raise ZeroDivisionError("of all things")
                if path.stem == "printing":
                    print("FFmpeg says hello")
                return read(path, count)

            def soon(seconds, *, later=faulthandler.dump_traceback_later, **options):
                later(seconds / 600, **options)

            windows.read_excerpt = read
            faulthandler.dump_traceback_later = soon
        """)
    )
    monkeypatch.syspath_prepend(folder)


def children(process: int) -> set[int]:
    """The numbers of the processes that a process has started, and that have not ended."""
    listed = Path(f"/proc/{process}/task").glob("*/children")
    return {int(number) for file in listed for number in file.read_text().split()}


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


def test_the_same_comes_of_it_as_in_this_process(decoder: Decoder, tmp_path: Path) -> None:
    for container, seconds in (("mp3", 12), ("flac", 25), ("mp4", 3)):
        path = encode(tmp_path / "a", container, seconds=seconds, kind="noise")
        excerpt = read_excerpt(path, 2)
        assert decoder.read(path, 2) == excerpt.key
        np.testing.assert_array_equal(decoder.decode(path), MEL(excerpt.decode()))


def test_what_cannot_be_decoded_is_told_in_the_same_words(decoder: Decoder, tmp_path: Path) -> None:
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
@pytest.mark.parametrize("name", ["crash", "endless"])
def test_a_file_that_breaks_the_decoder_costs_that_file_alone(
    decoder: Decoder, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    good = encode(tmp_path / "good.wav", "wav")
    bad = encode(tmp_path / f"{name}.wav", "wav")
    key = decoder.read(good, 1)
    with pytest.raises(DecodeError, match="crashed on it, or found no end") as raised:
        decoder.read(bad, 1)
    assert raised.value.path == bad
    assert "restore it from a backup" in raised.value.hint
    assert decoder.read(good, 1) == key
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("faulty")
def test_a_bug_is_not_hidden(decoder: Decoder, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError: of all things"):
        decoder.read(tmp_path / "bug.wav", 1)


@pytest.mark.usefixtures("faulty")
def test_what_a_library_prints_is_no_reply(
    decoder: Decoder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = encode(tmp_path / "printing.wav", "wav")
    assert decoder.read(path, 1) == read_excerpt(path, 1).key
    decoder.close()
    assert capfd.readouterr().out == ""


def test_without_a_process_there_is_a_hint(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with pytest.raises(CovergenError, match="No process can be started") as raised:
        decoder.read(tmp_path / "a.wav", 1)
    assert "--jobs" in raised.value.hint


@LINUX
def test_no_more_processes_are_begun_than_there_is_work_at_once(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "wav")
    before = children(os.getpid())
    with closing(Decoders(4, MEL)) as decoders:
        assert children(os.getpid()) == before
        for _ in range(3):
            decoders.submit(Decoder.read, path, 1).result()
        assert len(children(os.getpid()) - before) == 1
    assert children(os.getpid()) == before


@LINUX
@pytest.mark.usefixtures("faulty")
def test_leaving_waits_for_no_file(tmp_path: Path) -> None:
    before = children(os.getpid())
    begun = time.monotonic()
    decoders = Decoders(2, MEL)
    waiting = [decoders.submit(Decoder.read, tmp_path / "endless.wav", 1) for _ in range(4)]
    while len(children(os.getpid()) - before) < 2:
        time.sleep(0.01)
    decoders.close()
    assert children(os.getpid()) == before
    assert all(future.done() for future in waiting)
    assert time.monotonic() - begun < 10


@LINUX
@pytest.mark.parametrize("wanted", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_process_that_ends_in_whatever_way(
    tmp_path: Path, wanted: signal.Signals
) -> None:
    """Killed while it waits for windows, which are more than a pipe holds."""
    path = encode(tmp_path / "a.flac", "flac", seconds=30)
    script = f"""
import itertools, pathlib, signal
import numpy as np
from covergen.audio.decoder import Decoder
signal.signal(signal.SIGINT, signal.default_int_handler)  # which may be ignored here
decoder = Decoder(np.positive)
for _ in itertools.count():
    decoder.read(pathlib.Path({str(path)!r}), 3)
    print(len(decoder.decode(pathlib.Path({str(path)!r}))), flush=True)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stderr is not None
    assert parent.stdout.readline() == "3\n"
    (child,) = children(parent.pid)
    os.killpg(parent.pid, wanted)  # as a terminal does
    killer = Timer(10, parent.kill)
    killer.start()
    said = parent.communicate()[1]
    killer.cancel()
    wait_until_ended(child)
    assert "decoder_process" not in said
    assert parent.returncode == -wanted
