"""A music library, a preview of it and covergen's own files, restored for every trial.

Everything is in one folder with a fixed path, since the journal and the scan cache contain absolute
paths.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.album import AlbumPlan, Outcome
from covergen.core.cover import Cover
from covergen.core.cover_encoding import Encoding, encode
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.skip_rule import plan_by_covers
from covergen.preview.album_entry import album_entry, file_stem
from covergen.preview.folder import COVERS, keep_cover
from covergen.preview.manifest import Candidate, Manifest, ManifestHeader
from covergen.preview.origins import new_preview_id
from tests.media import EXTENSION, picture_bytes, put_picture
from tests.values import PROVENANCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Bench"]

_OWNER = 12_345  # another owner for the files, if the tests may change it


@dataclass(frozen=True, slots=True)
class Bench:
    """The folder of the trials, next to saved copies of it."""

    folder: Path

    @property
    def library(self) -> Path:
        return self.trial / "library"

    @property
    def preview(self) -> Path:
        return self.trial / "preview"

    @property
    def choices(self) -> Path:
        return self.preview / "choices.json"

    @property
    def home(self) -> Path:
        return self.trial / "home"

    @property
    def trial(self) -> Path:
        return self.folder / "trial"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that place covergen's own files in the folder."""
        folders = {f"XDG_{n}_HOME": str(self.home / n.lower()) for n in ("CACHE", "CONFIG")}
        state = {f"XDG_{n}_HOME": str(self.home / n.lower()) for n in ("STATE", "DATA")}
        return {"HOME": str(self.home), **folders, **state}

    def begin(self, files: Mapping[str, Path], *, covered: Iterable[str] = ()) -> None:
        """Create an album of these files, by container, and a preview of it.

        Those in `covered` have a front cover that is not covergen's.
        """
        shutil.rmtree(self.trial, ignore_errors=True)
        album = self.library / "Album"
        album.mkdir(parents=True)
        self.home.mkdir()
        for container, file in files.items():
            song = album / f"{container}{EXTENSION[container]}"
            shutil.copy(file, song)
            if container in covered:
                put_picture(song, container, picture_bytes("jpeg", 90, (9, 99, 200)))
            _mark(song)
        self._lay_out_preview()

    def keep(self, name: str) -> None:
        """Save a copy of the folder."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        _copy(self.trial, self.folder / name)

    def restore(self, name: str) -> None:
        """Restore a saved copy of the folder."""
        shutil.rmtree(self.trial)
        _copy(self.folder / name, self.trial)

    def cover(self) -> bytes:
        """The album's cover in the preview."""
        (path,) = (self.preview / COVERS).iterdir()
        return path.read_bytes()

    def _lay_out_preview(self) -> None:
        self.preview.mkdir()
        for name in (COVERS, "thumbnails"):
            (self.preview / name).mkdir()
        header = ManifestHeader(preview=new_preview_id(), roots=(self.library.name,), settings={})
        scan_cache = ScanCache(self.folder / "scan.sqlite")
        with closing(Manifest.create(self.preview, header)) as plan, closing(scan_cache):
            for album in scan(
                (self.library,), ScanOptions(), scan_cache, check_interrupted=lambda: None
            ):
                if not isinstance(album, Outcome):
                    self._preview_album(plan, plan_by_covers(album, force=True, fill=False))

    def _preview_album(self, plan: Manifest, album_plan: AlbumPlan) -> None:
        album = album_entry(album_plan, (self.library,))
        pixels = np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)
        cover = Cover(pixels=pixels, provenance=replace(PROVENANCE, album_key=album.key))
        data = encode(cover, Encoding()).data
        path = keep_cover(self.preview, f"{file_stem(album)}-1", data)
        candidate = Candidate(number=0, seed=PROVENANCE.seed, cover=path.name)
        plan.put(replace(album, candidates=(candidate,)))
        choices = {"format": 1, "albums": {album.id: {"choice": 1, "seed": str(PROVENANCE.seed)}}}
        self.choices.write_text(json.dumps(choices))


def _mark(song: Path) -> None:
    """Set a mode, an owner and an attribute, which a rewrite must preserve."""
    with suppress(OSError):
        os.setxattr(song, "user.note", b"of the owner's")
    with suppress(PermissionError):
        os.chown(song, _OWNER, _OWNER)
    song.chmod(0o640)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder with owners and attributes, which shutil does not preserve."""
    subprocess.run(["cp", "-a", source, target], check=True)
