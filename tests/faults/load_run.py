"""Time and memory of each command on a library of 100,000 tracks."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import click

from tests.measured import Used, at_home, covergen
from tests.media import encode, put_tags
from tests.tiny_base import make_tiny_adapter, make_tiny_base
from tests.tiny_clap import make_tiny_clap

__all__ = ["LoadReport", "Step", "make_load", "run"]

_APPLIED_ALBUMS = 40  # 500 tracks
_CONTAINERS = ("mp3", "flac", "mp4")  # their tags have no checksums
_PLACE = "Album 000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command, its resource use, and its summary."""

    name: str
    used: Used
    summary: str

    def __str__(self) -> str:
        used = self.used
        times = f"{used.seconds:8.1f} s {used.processor_seconds:8.1f} s of processor"
        return f"{self.name:<34}{times}{used.peak_bytes >> 20:>7,} MiB  {self.summary}"


@dataclass(slots=True, kw_only=True)
class LoadReport:
    """The resource use for a number of tracks."""

    tracks: int
    albums: int
    steps: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{self.tracks:,} tracks in {self.albums:,} albums"
        return "\n".join([head, *map(str, self.steps)])


def run(seed: int = 0, count: int = 100_000) -> LoadReport:
    """Scan, plan, scan again; preview, apply and undo 500 tracks. `seed` is for the covers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        library, preview = folder / "library", folder / "preview"
        albums = make_load(library, count)
        report = LoadReport(tracks=count, albums=albums)
        environment = _environment(folder)
        paint = ("-m", "tiny", "--seed", seed, "--limit", _APPLIED_ALBUMS, "--no-audio")
        commands: dict[str, tuple[object, ...]] = {
            "plan, every file read": ("tag", "-n", library),
            "plan again, none changed": ("tag", "-n", library),
            "preview of 500 tracks": ("preview", *paint, library, "-o", preview),
            "apply of that": ("apply", "--yes", preview),
            "undo of that": ("undo", "--yes"),
            "plan after that": ("tag", "-n", library),
        }
        for name, arguments in commands.items():
            report.steps.append(_step(name, arguments, environment))
            click.echo(report.steps[-1], err=True)
    return report


def make_load(library: Path, count: int) -> int:
    """Create `count` tracks of 0.1 s each. Returns the number of albums."""
    albums = 0
    numbers = iter(range(count))
    templates = _templates(library.with_name("templates"))
    while tracks := list(islice(numbers, 12 + albums % 2)):
        suffix, data = templates[albums % len(templates)]
        folder = library / f"Artist {albums // 8:04}" / f"Album {albums:06}"
        folder.mkdir(parents=True)
        own = data.replace(_PLACE.encode(), f"Album {albums:06}".encode())
        for number in range(len(tracks)):
            (folder / f"{number + 1:02} Song{suffix}").write_bytes(own)
        albums += 1
    return albums


def _templates(folder: Path) -> list[tuple[str, bytes]]:
    made = []
    for container in _CONTAINERS:
        path = encode(folder / container, container, seconds=0.1, kind="melody")
        put_tags(path, container, {"artist": "Ana", "album": _PLACE, "date": "1997"})
        made.append(({"mp4": ".m4a"}.get(container, f".{container}"), path.read_bytes()))
    return made


def _environment(folder: Path) -> dict[str, str]:
    """Environment variables of a separate home with a small model."""
    base = make_tiny_base(folder / "base")
    clap, adapter = make_tiny_clap(folder / "clap"), folder / "adapter.safetensors"
    make_tiny_adapter(adapter, base)
    models = folder / "config/covergen/models.toml"
    models.parent.mkdir(parents=True)
    models.write_text(
        f'[tiny]\nbase = "{base}"\nclap = "{clap}"\nadapter = "{adapter}"\n'
        "steps = 1\nguidance = 1.0\nwindows = 1\n"
    )
    return {**at_home(folder), "HF_HUB_OFFLINE": "1"}


def _step(name: str, arguments: tuple[object, ...], environment: dict[str, str]) -> Step:
    with tempfile.TemporaryFile() as output:
        used = covergen(*arguments, "--json", "--quiet", environment=environment, output=output)
        output.seek(0)
        summary = json.loads(list(output)[-1])
    return Step(name=name, used=used, summary=", ".join(_counts(summary)))


def _counts(summary: dict[str, list[dict[str, object]]]) -> Iterator[str]:
    for kind in ("albums", "files"):
        for row in summary[kind]:
            yield f"{row['count']:,} {kind} {row.get('action') or row.get('result') or ''}".strip()
