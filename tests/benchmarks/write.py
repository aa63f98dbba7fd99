"""Benchmark verified, journaled writes of large files, compared with copy, sync and checksum."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from covergen.audio.same_sound import same_sound
from covergen.audio.sound_file import write_sound
from covergen.core.album import Album, Status
from covergen.core.atomic_write import sync_file
from covergen.core.picture import Picture
from covergen.journal.journal import Journal
from covergen.journal.recorder import RunRecorder
from covergen.library.writing.rewrite import RewriteOptions, write_cover
from tests.benchmarks.race import Race
from tests.media import picture_bytes
from tests.values import track_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.race import Row, Setting

__all__ = ["write"]

_FILES = 60
_SECONDS = 197  # of noise at 44.1 kHz: 30 MB
_COVER_BYTES = 400_000
_MORE_BYTES = 100_000  # per round, so that padding never saves moving the audio


def write(setting: Setting) -> Iterator[Row]:
    """Measure both on the same files; covergen writes a different cover each round."""
    files = _files(setting.folder / "music")
    covers = (_cover(_COVER_BYTES + n * _MORE_BYTES) for n in count())
    with closing(Journal(setting.folder / "journal.sqlite")) as journal:
        yield Race(
            name=f"write: {_FILES} FLAC files of {files[0].stat().st_size / 1e6:.0f} MB, verified"
            " and journaled, compared with cp, fsync and a checksum of both copies",
            covergen=lambda: _write_all(files, next(covers), journal),
            reference=partial(_copy_all, files, setting.folder / "copy"),
            unit="files",
            units=_FILES,
            at_most=1.5,
            rounds=3,
        )


def _files(folder: Path) -> list[Path]:
    folder.mkdir()
    noise = np.random.default_rng(1).standard_normal((2, _SECONDS * 44_100), dtype=np.float32)
    write_sound(folder / "0.flac", noise * np.float32(0.1), sample_rate_hz=44_100)
    others = [folder / f"{n}.flac" for n in range(1, _FILES)]
    for path in others:
        shutil.copyfile(folder / "0.flac", path)
    return [folder / "0.flac", *others]


def _cover(size: int) -> Picture:
    picture = Picture.parse(picture_bytes("png", 48, (10, 120, 40)))
    return replace(picture, data=picture.data.ljust(size, b"\0"))


def _write_all(files: Sequence[Path], cover: Picture, journal: Journal) -> None:
    folder = files[0].parent
    album = Album(key="key", folder=folder, title="", artist="", date="", tracks=())
    run = RunRecorder(journal, "tag", (folder,), {"cover": len(cover.data)})
    for path in files:
        outcome = write_cover(
            track_at(path, "flac"),
            cover,
            same_sound=same_sound,
            options=RewriteOptions(),
            record=run.record(album),
        )
        assert outcome.status is Status.WRITTEN, outcome
    run.finish()


def _copy_all(files: Sequence[Path], copy: Path) -> None:
    for path in files:
        shutil.copyfile(path, copy)
        sync_file(copy)
        assert _checksum(path) == _checksum(copy)
        copy.unlink()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
