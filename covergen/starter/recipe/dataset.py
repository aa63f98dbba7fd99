"""The rendered training data on disk: captioned pictures, and tracks as log-mel spectrograms.

A split is a folder of shards; shard k contains its items k·n to (k+1)·n - 1. Item i of a split
depends only on the seed, the split and i, so that rendering can be interrupted and resumed. Styled
pictures are numbered after the other pictures. The first pictures and the first styled pictures
have a track with the same number and attributes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from covergen.core.atomic_write import replacing
from covergen.models.presets import own_presets
from covergen.poster.attributes import Attributes, draw_attributes
from covergen.poster.painter import paint
from covergen.poster.painter.ink_sheet import pick
from covergen.starter.musician import HELD_OUT, TRAINING, augment, play

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.audio.mel import LogMel
    from covergen.starter.recipe.run_folder import RunFolder
    from covergen.starter.recipe.settings import DatasetSettings


Split = Literal["train", "validation"]
Kind = Literal["pictures", "styled", "large", "tracks"]

_STREAMS = {"attributes": 0, "pictures": 1, "tracks": 2, "excerpts": 3}
_SPLITS = {"train": 0, "validation": 1}


def attributes_of(dataset: DatasetSettings, split: Split, item: int) -> Attributes:
    """Return the attributes shared by picture and track `item`."""
    return draw_attributes(_generator(dataset, split, "attributes", item))


def track_items(dataset: DatasetSettings, split: Split) -> list[int]:
    """Return the numbers of the tracks, in the order of the shards."""
    if split == "validation":
        return list(range(dataset.validation))
    first_styled = dataset.pictures
    return [
        *range(dataset.tracks - dataset.styled_tracks),
        *range(first_styled, first_styled + dataset.styled_tracks),
    ]


def render(run: RunFolder, split: Split, kind: Kind, *, workers: int) -> bool:
    """Render missing shards. Return whether the split is complete."""
    dataset, destination = run.recipe.dataset, _folder(run, split, kind)
    destination.mkdir(parents=True, exist_ok=True)
    missing = [
        s for s in range(_shards(dataset, split, kind)) if not _path(destination, s).exists()
    ]
    work = _render_tracks if kind == "tracks" else partial(_render_pictures, kind)
    # Forking a process with torch's threads may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        while missing and not run.late():
            batch, missing = missing[:workers], missing[workers:]
            for job in [pool.submit(work, destination, dataset, split, s) for s in batch]:
                job.result()
    return not missing


def load_shards(run: RunFolder, split: Split, kind: Kind) -> list[NDArray[Any]]:
    """Load the shards in order, memory-mapped.

    Pictures are (n, H, W, 3) uint8, tracks (n, excerpts, T, M) float16 in decibels.
    """
    return [np.load(path, mmap_mode="r") for path in _paths(run, split, kind)]


def load_captions(run: RunFolder, split: Split) -> list[str]:
    """Load the captions of the pictures and styled pictures in order."""
    kinds: tuple[Kind, ...] = ("pictures", "styled")
    return [
        caption
        for kind in kinds
        for path in _paths(run, split, kind)
        for caption in json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    ]


def load_attributes(dataset: DatasetSettings, split: Split, count: int) -> NDArray[np.float32]:
    """Return the attributes of the first `count` tracks, (count, 11), each 0..1."""
    items = track_items(dataset, split)[:count]
    return np.array([attributes_of(dataset, split, item).row for item in items], np.float32)


def _paths(run: RunFolder, split: Split, kind: Kind) -> Iterator[Path]:
    destination = _folder(run, split, kind)
    for shard in range(_shards(run.recipe.dataset, split, kind)):
        path = _path(destination, shard)
        if path.exists():
            yield path


def _folder(run: RunFolder, split: Split, kind: Kind) -> Path:
    return run.folder / "dataset" / f"{split}-{kind}"


def _path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:04d}.npy"


def _shards(dataset: DatasetSettings, split: Split, kind: Kind) -> int:
    if split == "validation":
        return 0 if kind == "styled" else dataset.validation // dataset.shard
    count: int = getattr(dataset, kind)
    return count // dataset.shard


def _generator(
    dataset: DatasetSettings, split: Split, stream: str, item: int
) -> np.random.Generator:
    return np.random.default_rng([dataset.seed, _SPLITS[split], _STREAMS[stream], item])


def _render_pictures(
    kind: Kind, folder: Path, dataset: DatasetSettings, split: Split, shard: int
) -> None:
    """Paint pictures in random families, or styled ones in the model's styles.

    Without grain, which an autoencoder of this size cannot reproduce.
    """
    styled = kind == "styled"
    styles = own_presets()["starter"].styles if styled else dataset.families
    size = dataset.large_size if kind == "large" else dataset.picture_size
    first = shard * dataset.shard + (dataset.pictures if styled else 0)
    paintings = []
    for item in range(first, first + dataset.shard):
        rng = _generator(dataset, split, "pictures", item)
        style = pick(rng, styles)
        attributes = attributes_of(dataset, split, item)
        paintings.append(paint(attributes, rng, size=size, style=style, grain=False))
    path = _path(folder, shard)
    path.with_suffix(".json").write_text(json.dumps([p.caption for p in paintings]))
    save_array(path, np.stack([painting.pixels for painting in paintings]))


def _render_tracks(folder: Path, dataset: DatasetSettings, split: Split, shard: int) -> None:
    """Render tracks; validation uses the held-out instruments."""
    instruments = HELD_OUT if split == "validation" else TRAINING
    rows = []
    first = shard * dataset.shard
    for item in track_items(dataset, split)[first : first + dataset.shard]:
        attributes = attributes_of(dataset, split, item)
        track = play(
            attributes, _generator(dataset, split, "tracks", item), instruments=instruments
        )
        again = _generator(dataset, split, "excerpts", item)
        excerpts = [augment(track, again).mean(axis=0) for _ in range(dataset.excerpts)]
        rows.append(_log_mel()(np.stack(excerpts))[:, 0])
    save_array(_path(folder, shard), np.stack(rows).astype(np.float16))


@cache
def _log_mel() -> LogMel:
    from covergen.audio.mel import LogMel
    from covergen.starter.recipe.mel import MEL

    return LogMel(MEL)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Save an array atomically."""
    with replacing(path) as new, new.open("wb") as file:
        np.save(file, array)
