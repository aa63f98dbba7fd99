"""Plan for clusters: `python -m tests.benchmarks.scale [--measure]`.

Simulates the Ray engine as `pipeline/engines/ray_driver.py` hands out and collects work: chunks of
albums, two per worker, a bounded window, covers written in order by one driver while its threads
encode the next ones of a chunk. Prints covers per hour and what is busy. `--measure` first times
decoding and writing on this machine.
"""

from __future__ import annotations

import argparse
import heapq
import io
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
import numpy as np
from PIL import Image

from covergen.audio.mel import LogMel
from covergen.audio.same_sound import same_sound
from covergen.audio.windows import read_excerpt
from covergen.core.album import Album, Status
from covergen.core.picture import Picture
from covergen.journal.journal import Journal
from covergen.journal.recorder import RunRecorder
from covergen.library.writing.rewrite import RewriteOptions, write_cover
from covergen.pipeline.engines import ray_driver
from tests.benchmarks.songs import FORMATS, make_songs
from tests.tiny_clap import LAION_MEL
from tests.values import track_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Stages", "simulate"]

_CHUNKS_PER_GPU = 40
_TRACKS = 12  # of an album


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Seconds that the stages of an album take.

    `decode` is on one core, of which each GPU has `cores`; `embed` and `paint` on one GPU; `scan`,
    `encode`, `write` in the driver. `transfer` is the time that a picture occupies the network.
    """

    decode: float
    embed: float
    paint: float
    encode: float
    write: float
    scan: float = _TRACKS / 4310  # files per second; see .docs/speed.md
    transfer: float = 512 * 512 * 3 / 1.25e9  # 10 Gbit/s
    cores: int = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """Covers per hour, and the shares of the time that things were busy."""

    covers_per_hour: float
    gpus_busy: float
    driver_busy: float
    cores_busy: float


def simulate(stages: Stages, gpus: int, *, albums: int = ray_driver._ALBUMS_AT_ONCE) -> Figures:
    """Run the engine's policy on imagined workers; stages vary by a tenth."""
    random = np.random.default_rng(0)
    count = _CHUNKS_PER_GPU * gpus
    window = ray_driver._WINDOW * gpus

    def of(seconds: float) -> float:
        return float(albums * seconds * random.lognormal(0, 0.1))

    decoded, painted = [0.0] * gpus, [0.0] * gpus  # when each worker's stages are free
    under_way: list[tuple[float, int, int]] = []  # finish, chunk, worker
    load = [0] * gpus
    finished: set[int] = set()
    sent = written = 0
    now = gpu_seconds = core_seconds = driver_seconds = 0.0
    while written < count:
        while sent < count and sent - written < window and min(load) < ray_driver._AT_ONCE:
            worker = load.index(min(load))
            now += albums * stages.scan
            driver_seconds += albums * stages.scan
            decoding, on_gpu = of(stages.decode), of(stages.embed + stages.paint)
            decoded[worker] = max(now, decoded[worker]) + decoding / stages.cores
            painted[worker] = max(decoded[worker], painted[worker]) + on_gpu
            core_seconds += decoding
            gpu_seconds += on_gpu
            heapq.heappush(under_way, (painted[worker], sent, worker))
            load[worker] += 1
            sent += 1
        while under_way and (under_way[0][0] <= now or written not in finished):
            at, chunk, worker = heapq.heappop(under_way)
            now = max(now, at)
            finished.add(chunk)
            load[worker] -= 1
            if min(load) < ray_driver._AT_ONCE and sent < count and sent - written < window:
                break
        if written in finished:
            # Threads encode the other covers of a chunk while the first ones are written.
            busy = stages.encode + of(stages.write + stages.transfer)
            now += busy
            driver_seconds += busy
            written += 1
    return Figures(
        covers_per_hour=3600 * count * albums / now,
        gpus_busy=gpu_seconds / now / gpus,
        driver_busy=driver_seconds / now,
        cores_busy=core_seconds / now / gpus / stages.cores,
    )


def _measure(stages: Stages) -> Stages:
    """Time decoding, encoding and writing with an album of four-minute MP3s."""
    with TemporaryDirectory() as scratch:
        songs = make_songs(Path(scratch) / "music", FORMATS["MP3 320k"], 1 + _TRACKS)
        log_mel = LogMel(LAION_MEL)
        times = []
        for song in songs:
            start = time.perf_counter()
            log_mel(read_excerpt(song.path, 3).decode())
            times.append(time.perf_counter() - start)

        start = time.perf_counter()
        buffer = io.BytesIO()
        Image.fromarray(_pixels()).save(buffer, "PNG")
        encoding = time.perf_counter() - start
        picture = Picture.parse(buffer.getvalue())

        album = Album(key="", folder=Path(scratch), title="", artist="", date="", tracks=())
        with closing(Journal(Path(scratch) / "journal.sqlite")) as journal:
            run = RunRecorder(journal, "tag", (Path(scratch),), {})
            start = time.perf_counter()
            for song in songs[1:]:
                outcome = write_cover(
                    track_at(song.path, "mp3"),
                    picture,
                    same_sound=same_sound,
                    options=RewriteOptions(),
                    record=run.record(album),
                )
                assert outcome.status is Status.WRITTEN, outcome
            write = time.perf_counter() - start
            run.finish()
        size = songs[1].path.stat().st_size / 1e6
    click.echo(f"MP3s of {size:.1f} MB, a PNG of {len(picture.data) / 1e3:.0f} kB")
    return replace(stages, decode=sum(times[1:]), encode=encoding, write=write)


def _pixels() -> NDArray[np.uint8]:
    """Patches with noise, whose PNG is as large as that of a painting: (512, 512, 3)."""
    random = np.random.default_rng(0)
    pixels = random.normal(128, 20, (64, 64, 3)).repeat(8, 0).repeat(8, 1)
    pixels += random.normal(0, 4, pixels.shape)
    return np.asarray(pixels.clip(0, 255), dtype=np.uint8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    for name, default in {
        "decode": 0.9, "embed": 0.07, "paint": 1.5, "encode": 0.1, "write": 0.5, "cores": 4,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=type(default), default=default)
    arguments = vars(parser.parse_args())
    measure = arguments.pop("measure")
    stages = Stages(**arguments)
    if measure:
        stages = _measure(stages)
    click.echo(str(stages))
    click.echo("| GPUs | covers per hour | GPUs busy | cores busy | driver busy |")
    click.echo("| --- | --- | --- | --- | --- |")
    for gpus in (1, 8, 64):
        figures = simulate(stages, gpus)
        click.echo(
            f"| {gpus} | {figures.covers_per_hour:,.0f} | {figures.gpus_busy:.0%} |"
            f" {figures.cores_busy:.0%} | {figures.driver_busy:.0%} |"
        )


if __name__ == "__main__":
    main()
