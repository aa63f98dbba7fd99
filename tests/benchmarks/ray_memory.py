"""Memory of the Ray engine over 100,000 albums: `python -m tests.benchmarks.ray_memory [ALBUMS]`.

Workers return pictures at once instead of painting them, so that the driver is the slowest part and
holds as much as it ever does. Everything between the plans and the encoded pictures is real.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.audio.embedding_cache import EmbeddingCache
from covergen.core.album import Action, Album, AlbumPlan, Track
from covergen.core.reasons import Reason
from covergen.pipeline.engines import paint_plans, ray_driver
from covergen.pipeline.model_choice import ModelChoice, choose_preset
from covergen.pipeline.options import PaintOptions, RayOptions
from covergen.pipeline.painting import Seeds
from covergen.pipeline.time_estimate import Meter
from tests.ray_worker import InstantWorker

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRACKS = 2
_REPORTS = (1_000, 10_000, 25_000, 50_000, 100_000)


def _plans(count: int) -> Iterator[AlbumPlan]:
    for number in range(count):
        folder = Path(f"/music/Artist {number // 8}/Album {number}")
        tracks = tuple(
            Track(
                path=folder / f"{k:02} Song.flac",
                size=30_000_000,
                mtime_ns=number,
                container="flac",
                has_art=False,
            )
            for k in range(_TRACKS)
        )
        album = Album(
            key=f"key {number}", folder=folder, title="T", artist="A", date="", tracks=tracks
        )
        yield AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=tracks)


def _resident(name: str) -> int:
    """MiB of the processes with a name, without what they share with others."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if name.encode() in status.with_name("cmdline").read_bytes():
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                total += int(lines["RssAnon"].split()[0])
        except (OSError, KeyError):  # it has just ended
            continue
    return total >> 10


def _stored() -> int:
    """MiB of objects that are kept in Ray's store."""
    import ray

    kind = "object_store_memory"
    return int(ray.cluster_resources()[kind] - ray.available_resources().get(kind, 0)) >> 20


def main(count: int) -> None:
    """Print a line whenever so many albums are done."""
    preset = choose_preset(ModelChoice(base="a/base", clap="a/clap", adapter="an/adapter"))
    options = PaintOptions(preset=preset, device="cpu", dtype="auto", workers=1, ray=RayOptions())
    ray_driver.Worker = InstantWorker  # type: ignore[assignment, attr-defined]  # see above
    own = Path("/proc/self/cmdline").read_bytes().split(b"\0")[2].decode()
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_CACHE_HOME"] = home
        start = time.monotonic()
        with closing(EmbeddingCache()) as store:
            painted = paint_plans(
                _plans(count),
                options,
                store,
                seeds=Seeds(run=0, per="album", of=lambda _album: (0,)),
                meter=Meter(),
                then=lambda _embedding, cover: int(cover.pixels.sum()),
                emit=lambda _event: None,
                check_interrupted=lambda: None,
            )
            click.echo("  albums   seconds  driver  raylet  head  workers  object store (MiB)")
            for done, _ in enumerate(painted, 1):
                if done in _REPORTS or done == count:
                    used = _stored()
                    names = (own, "raylet/raylet", "gcs_server", "ray::InstantWorker")
                    row = "  ".join(f"{_resident(name):6,}" for name in names)
                    click.echo(f"{done:8,} {time.monotonic() - start:9.0f}  {row}  {used:6,}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
