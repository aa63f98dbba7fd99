"""Check a dataset: its pairs, its problems, and a contact sheet of its covers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.os_errors import write_errors
from covergen.datasets.examine import Examined, Health, examine
from covergen.gallery.contact_sheet import Tile, save_sheet
from covergen.pipeline.events import CheckInterrupted

if TYPE_CHECKING:
    from covergen.datasets.folder import Dataset, Problem


_MAX_TILES = 300
_TILE_SIDE = 160  # pixels


def check_dataset(
    dataset: Dataset,
    report: Callable[[Problem | Examined], None],
    check_interrupted: CheckInterrupted,
    *,
    workers: int,
) -> Health:
    """Report each file without a pair, then each pair; return the totals.

    Raises whatever `check_interrupted` raises.
    """
    health = Health(pairs=len(dataset.broken))
    for problem in dataset.problems:
        health.add(problem)
        report(problem)
    with closing(
        examine(dataset.pairs, workers=workers, check_interrupted=check_interrupted)
    ) as pairs:
        for examined in pairs:
            health.add(examined)
            report(examined)
    return health


def save_pictures(dataset: Dataset, path: Path) -> tuple[Path, ...]:
    """Write contact sheets with one cover per album, evenly sampled if there are too many.

    Returns the files. Raises WriteError.
    """
    albums = {pair.album: pair for pair in reversed(dataset.pairs)}
    covers = sorted(albums.values(), key=lambda pair: pair.stem)
    step = -(-len(covers) // _MAX_TILES)
    shown = covers[:: max(1, step)]
    count = f"{len(shown)} of {len(covers)}" if len(shown) < len(covers) else f"{len(covers)}"
    with write_errors(path):
        return save_sheet(
            (Tile(picture=pair.image, caption=pair.title, detail=pair.stem) for pair in shown),
            path,
            side=_TILE_SIDE,
            title=f"{count} albums",
        )
