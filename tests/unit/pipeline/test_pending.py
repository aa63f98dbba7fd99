"""Pending covers: found only by a run that would paint the same picture."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from covergen.core.paths import state_folder
from covergen.core.picture import Encoding
from covergen.core.reasons import Reason
from covergen.core.types import (
    Action,
    Album,
    AlbumEmbedding,
    AlbumPlan,
    Cover,
    Outcome,
    Status,
    Track,
)
from covergen.library.writing.change import stamp_of
from covergen.models.presets import Preset, find_preset, load_presets
from covergen.pipeline import pending as module
from covergen.pipeline.options import PaintOptions, PlanOptions, TagOptions, WriteOptions
from covergen.pipeline.pending import PendingCovers
from tests.unit.library.journalled import PROVENANCE

TRACK = Track(path=Path("/m/1.flac"), size=3, mtime_ns=4, container="flac", has_art=False)
ALBUM = Album(key="k", folder=Path("/m"), title="", artist="", date="", tracks=(TRACK,))
PLAN = AlbumPlan(album=ALBUM, action=Action.PAINT, reason=Reason.NO_COVER, targets=(TRACK,))
UNHEARD = Outcome(
    path=Path("/m/\udcff.mp3"), status=Status.FAILED, reason=Reason.UNDECODABLE, message="m"
)


@pytest.fixture
def options(tmp_path: Path) -> TagOptions:
    """Options with a model of dummy files."""
    for name in ("base", "clap"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model_index.json").write_text("{}")
        (folder / "config.json").write_text("{}")
    adapter = tmp_path / "adapter.safetensors"
    adapter.write_bytes(b"weights")
    preset = replace(
        find_preset("starter", load_presets()),
        base=str(tmp_path / "base"),
        clap=str(tmp_path / "clap"),
        adapter=str(adapter),
    )
    return TagOptions(
        plan=PlanOptions(paths=()),
        paint=PaintOptions(preset=preset, device="cpu", dtype="fp32", workers=1),
        seed=7,
    )


@pytest.fixture(autouse=True)
def located(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the dummy files as a model."""
    from covergen.pipeline.model import ModelFiles

    def files(preset: Preset) -> ModelFiles:
        return ModelFiles(
            base=Path(preset.base), clap=Path(preset.clap), adapter=Path(preset.adapter or "")
        )

    monkeypatch.setattr(module, "locate_model", files)


def keep(options: TagOptions, plan: AlbumPlan = PLAN) -> Cover:
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    cover = Cover(pixels=pixels, provenance=PROVENANCE)
    embedding = AlbumEmbedding(plan=plan, vector=np.ones(2, np.float32), undecoded=(UNHEARD,))
    PendingCovers(options, stamp_of).keep(embedding, cover)
    return cover


def test_cover_round_trips(options: TagOptions) -> None:
    assert PendingCovers(options, stamp_of).find(PLAN) is None
    cover = keep(options)
    found = PendingCovers(options, stamp_of).find(PLAN)
    assert found is not None
    assert np.array_equal(found[0].pixels, cover.pixels)
    assert (found[0].provenance, found[1]) == (PROVENANCE, (UNHEARD,))


def test_dropped_cover_is_deleted(options: TagOptions) -> None:
    keep(options)
    covers = PendingCovers(options, stamp_of)
    covers.drop(PLAN)
    covers.drop(PLAN)
    assert covers.find(PLAN) is None
    assert list((state_folder() / "pending").iterdir()) == []


def test_other_settings_or_tracks_find_no_cover(options: TagOptions) -> None:
    keep(options)
    paint, plan = options.paint, options.plan
    steps = replace(paint.preset, sampling=replace(paint.preset.sampling, steps=999))
    jpeg = replace(plan, write=WriteOptions(encoding=Encoding(format="jpeg")))
    for other in (
        replace(options, seed=8),
        replace(options, paint=replace(paint, preset=steps)),
        replace(options, paint=replace(paint, dtype="bf16")),
        replace(options, plan=jpeg),
    ):
        assert PendingCovers(other, stamp_of).find(PLAN) is None
    covers = PendingCovers(options, stamp_of)
    for track in (replace(TRACK, size=9), replace(TRACK, mtime_ns=9)):
        album = replace(ALBUM, tracks=(track,))
        assert covers.find(replace(PLAN, album=album)) is None
    assert covers.find(replace(PLAN, album=replace(ALBUM, key="other"))) is None
    assert covers.find(PLAN) is not None


@pytest.mark.parametrize("part", ["adapter.safetensors", "base/model_index.json"])
def test_changed_model_files_find_no_cover(options: TagOptions, tmp_path: Path, part: str) -> None:
    keep(options)
    (tmp_path / part).write_bytes(b"WEIGHTS")
    assert PendingCovers(options, stamp_of).find(PLAN) is None


def test_damaged_cover_is_ignored(options: TagOptions) -> None:
    keep(options)
    (file,) = (state_folder() / "pending").iterdir()
    data = file.read_bytes()
    for length in range(0, len(data), 13):
        file.write_bytes(data[:length])
        assert PendingCovers(options, stamp_of).find(PLAN) is None
    for at in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[at] ^= 4
        file.write_bytes(flipped)
        assert PendingCovers(options, stamp_of).find(PLAN) is None


def test_unwritable_folder_is_not_an_error(options: TagOptions) -> None:
    state_folder().parent.mkdir(parents=True)
    state_folder().write_text("no folder")
    keep(options)
    covers = PendingCovers(options, stamp_of)
    assert covers.find(PLAN) is None
    covers.drop(PLAN)
    covers.prune()


def test_prune_deletes_old_and_excess_covers(
    options: TagOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [replace(PLAN, album=replace(ALBUM, key=str(n))) for n in range(3)]
    covers = PendingCovers(options, stamp_of)
    for plan in plans:
        keep(options, plan)
        time.sleep(0.01)
    covers.prune()
    assert all(map(covers.find, plans))
    oldest, *_, newest = sorted((state_folder() / "pending").iterdir(), key=os.path.getmtime)
    monkeypatch.setattr(module, "_KEPT_BYTES", 2 * newest.stat().st_size)
    covers.prune()
    assert [covers.find(plan) is not None for plan in plans] == [False, True, True]
    assert not oldest.exists()
    old = time.time() - 31 * 86_400
    os.utime(newest, (old, old))
    covers.prune()
    assert [covers.find(plan) is not None for plan in plans] == [False, True, False]
