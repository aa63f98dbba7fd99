"""Covers that are painted but not yet written, kept so that a resumed run need not repaint them."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import covergen
from covergen.core.errors import ModelError
from covergen.core.files import write_whole
from covergen.core.paths import state_folder
from covergen.core.reasons import Reason
from covergen.core.types import Cover, Outcome, Provenance, Status
from covergen.journal.schema import as_json
from covergen.library.writing.change import Stamp, bytes_hash, file_hash
from covergen.pipeline.model import locate_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from covergen.core.types import AlbumEmbedding, AlbumPlan, Track
    from covergen.pipeline.options import TagOptions

__all__ = ["PendingCovers"]

_KEPT_SECONDS = 30 * 86_400
_KEPT_BYTES = 1 << 30
_REASONS = {reason.value: reason for reason in Reason}


class PendingCovers:
    """The pending covers of one run, in files named by a hash of everything a cover depends on.

    That is the model's files, the settings, the album and its tracks. A track is identified by
    `stamp_of`: its size and time before anything was written to it. If a cover cannot be kept, it
    is painted again; that is not an error.
    """

    def __init__(self, options: TagOptions, stamp_of: Callable[[Track], Stamp]) -> None:
        self._options = options
        self._stamp_of = stamp_of
        self._folder = state_folder() / "pending"
        self._cached_settings = ""

    def find(self, plan: AlbumPlan) -> tuple[Cover, tuple[Outcome, ...]] | None:
        """Return an album's pending cover, and the Outcomes of tracks that were not decoded."""
        if not self._are_any():
            return None
        with suppress(ModelError, OSError, KeyError, TypeError, ValueError):
            expected, _, body = self._file(plan).read_bytes().partition(b"\n")
            if expected.decode() == bytes_hash(body):
                head, _, pixels = body.partition(b"\n")
                details = json.loads(head)
                array = np.frombuffer(pixels, np.uint8).reshape(details["shape"])
                provenance = Provenance(**details["provenance"])
                undecoded = tuple(_outcome(**values) for values in details["unheard"])
                return Cover(pixels=array, provenance=provenance), undecoded
        return None

    def keep(self, embedding: AlbumEmbedding, cover: Cover) -> None:
        """Save a cover until `drop`."""
        details = {
            "shape": cover.pixels.shape,
            "provenance": cover.provenance,
            "unheard": embedding.undecoded,
        }
        body = as_json(details).encode() + b"\n" + cover.pixels.tobytes()
        with suppress(ModelError, OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._file(embedding.plan), bytes_hash(body).encode() + b"\n" + body)

    def drop(self, plan: AlbumPlan) -> None:
        """Delete the cover of an album, which has been written."""
        if self._are_any():
            with suppress(ModelError, OSError):
                self._file(plan).unlink(missing_ok=True)

    def prune(self) -> None:
        """Delete covers that are too old, and the oldest ones beyond the size limit."""
        with suppress(OSError):
            files = sorted(self._folder.iterdir(), key=lambda file: -file.stat().st_mtime)
            oldest, room = time.time() - _KEPT_SECONDS, _KEPT_BYTES
            for file in files:
                status = file.stat()
                room -= status.st_size
                if status.st_mtime < oldest or room < 0:
                    file.unlink()

    def _are_any(self) -> bool:
        """Whether any cover is pending; usually not, which saves computing a key."""
        with suppress(OSError), os.scandir(self._folder) as entries:
            return any(entries)
        return False

    def _file(self, plan: AlbumPlan) -> Path:
        """Return the file of an album's cover. Raises ModelError without a model, and OSError."""
        tracks = [(track.path.absolute(), self._stamp_of(track)) for track in plan.album.tracks]
        key = as_json([self._settings(), plan.album.key, tracks])
        return self._folder / bytes_hash(key.encode())

    def _settings(self) -> str:
        if not self._cached_settings:
            paint = self._options.paint
            files = locate_model(paint.preset)
            model = [*_stamps(files.base), *_stamps(files.clap), file_hash(files.adapter)]
            encoding = self._options.plan.write.encoding
            options = (paint.preset, paint.dtype, paint.size, self._options.seed, encoding)
            settings = (model, covergen.__version__, *options)
            self._cached_settings = as_json(settings)
        return self._cached_settings


def _stamps(folder: Path) -> Iterator[tuple[Path, Stamp]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file, Stamp.of(file.stat())


def _outcome(path: str, status: str, reason: str, message: str) -> Outcome:
    return Outcome(path=Path(path), status=Status(status), reason=_REASONS[reason], message=message)
