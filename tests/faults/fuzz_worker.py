"""Scan, decode and write files: `python -m tests.faults.fuzz_worker SEEDS SEED`.

A separate process, so that it can be killed. Reads numbers of damaged files, or paths, as JSON from
stdin, and prints a line of JSON for each. The first line is the idle memory in KiB.
"""

import gc
import json
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from covergen.audio.audio_span import sound_span
from covergen.audio.same_sound import same_sound
from covergen.audio.windows import read_excerpt
from covergen.core.album import Outcome, Status, Track
from covergen.core.errors import ItemError
from covergen.core.picture import Picture
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.library.read_track import read_track
from covergen.library.writing.change import Change
from covergen.library.writing.rewrite import RewriteOptions, write_cover
from tests.faults.fuzz_files import mutate, read_seeds
from tests.media import decoded_hash, picture_bytes

__all__ = ["Journey", "journey"]

_COVER = Picture.parse(picture_bytes("png", 48, (10, 120, 40)))
_MEMORY = Path("/dev/shm")  # faster than a disk


@dataclass(slots=True, kw_only=True)
class Journey:
    """How far a file got, the error messages, and the broken promises.

    `above_kib`: peak memory above that of the idle process.
    """

    scanned: bool = False
    decoded: bool = False
    written: bool = False
    messages: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    above_kib: int = 0


def journey(path: Path, idle_kib: int, *, always_decode: bool = False) -> Journey:
    """Scan, decode and write a file, and check the promises.

    Files that the scan rejects are not decoded, unless `always_decode`.
    """
    done = Journey()
    original = Path(shutil.copy(path, path.with_suffix(".original")))
    track = None
    changes: list[Change] = []
    gc.collect()  # do not count garbage of earlier files
    _forget_peak()
    with _collect_errors(done):
        track = read_track(path, path.stat())
        done.scanned = True
    if track is not None or always_decode:
        with _collect_errors(done):
            read_excerpt(path, 2).decode()
            done.decoded = True
    if track is not None:
        with _collect_errors(done):
            _write(path, track, done, changes)
    done.above_kib = _peak_kib() - idle_kib
    with _collect_errors(done):
        done.faults += _broken_promises(path, original, done, track, changes)
    original.unlink()
    if stray := [other.name for other in path.parent.iterdir() if other != path]:
        done.faults.append(f"left behind: {stray}")
    return done


def _write(path: Path, track: Track, done: Journey, changes: list[Change]) -> None:
    @contextmanager
    def record(change: Change) -> Iterator[None]:
        changes.append(change)
        yield

    options = RewriteOptions()
    outcome = write_cover(track, _COVER, same_sound=same_sound, options=options, record=record)
    done.written = outcome.status is Status.WRITTEN
    done.messages.append(outcome.message)
    if not (done.written or outcome.message or outcome.status is Status.UNCHANGED):
        done.faults.append(f"no message: {outcome}")


def _broken_promises(
    path: Path, original: Path, done: Journey, track: Track | None, changes: list[Change]
) -> Iterator[str]:
    before = original.read_bytes()
    if not done.written:
        if path.read_bytes() != before:
            yield "it was not written, but changed"
        return
    assert track is not None
    if read_pictures(path, track.container)[:1] != [EmbeddedPicture(_COVER.data, FRONT_COVER)]:
        yield "the cover is not the first picture"
    if done.decoded and _decoded(path) != _decoded(original) and _sound(path) != _sound(original):
        yield "its audio changed"
    (change,) = changes
    assert change.reversal is not None
    change.reversal.apply(path)
    if path.read_bytes() != before:
        yield "it cannot be undone"


def _decoded(path: Path) -> str:
    try:
        return decoded_hash(path)
    except Exception as error:  # noqa: BLE001 - the same damage is there before and after
        return type(error).__name__


def _sound(path: Path) -> bytes:
    """All bytes between the tags, which FFmpeg may take for damaged audio."""
    with path.open("rb") as file:
        start, end = sound_span(file)
        file.seek(start)
        return file.read(end - start)


@contextmanager
def _collect_errors(done: Journey) -> Iterator[None]:
    """Collect the messages of item errors, and all other exceptions as faults."""
    try:
        yield
    except ItemError as error:
        message = Outcome.of_error(error).message
        done.messages.append(message)
        if not message:
            done.faults.append(f"no message: {error!r}")
    except Exception:  # noqa: BLE001 - any other exception is a fault
        done.faults.append(traceback.format_exc())


def _peak_kib() -> int:
    """This process's peak memory since `_forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main(folder: str, seed: str) -> None:
    """Handle requests until stdin ends."""
    seeds = read_seeds(Path(folder))
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as place:
        for suffix, data in seeds:
            assert not _journey_of(Path(place), suffix, data, 0).faults
        _forget_peak()
        idle = _peak_kib()
        _print_json(idle)
        for line in sys.stdin:
            asked = json.loads(line)
            if isinstance(asked, str):
                done = journey(Path(asked), idle)
            else:
                random = np.random.default_rng([int(seed), asked])
                suffix, data = seeds[asked % len(seeds)]
                _, other = seeds[random.integers(len(seeds))]
                done = _journey_of(Path(place), suffix, mutate(data, other, random), idle)
            _print_json(asdict(done))


def _print_json(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _journey_of(folder: Path, suffix: str, data: bytes, idle_kib: int) -> Journey:
    path = folder / f"file{suffix}"
    path.write_bytes(data)
    done = journey(path, idle_kib, always_decode=True)
    path.unlink()
    return done


if __name__ == "__main__":
    main(*sys.argv[1:])
