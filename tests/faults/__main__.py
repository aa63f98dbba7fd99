"""Inject every fault at every system call: `python -m tests.faults [PART…]`.

Separate runs, with an optional size: `python -m tests.faults fuzz|load|concurrency|ray [COUNT]`.
Exits with 1 if any trial failed, and prints the names of those, to repeat them with --only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tests.faults import concurrency_run, fuzz_run, load_run, ray_run
from tests.faults.bench import Bench
from tests.faults.calls import check_order, fail, kill
from tests.faults.command import Commands
from tests.faults.damage import damage, damage_journal
from tests.faults.scenarios import scenarios
from tests.faults.stops import fill_disk, limit_files, meddle, small_disk
from tests.faults.tag import MODULES, try_tag
from tests.faults.trial import Trials
from tests.media import make_library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.faults.trial import Scenario
    from tests.media import Library

__all__ = ["PARTS", "REPORTS", "attempt", "main"]

REPORTS: dict[str, Callable[..., object]] = {
    "fuzz": fuzz_run.run,
    "load": load_run.run,
    "concurrency": concurrency_run.run,
    "ray": ray_run.run,
}
"""Separate runs, which return a printable report; `faults` says whether a trial failed."""

PARTS = ("order", "kills", "failures", "meddling", "full-disk", "damage", "tag")
_THOROUGH = "flac"  # covergen's own files do not depend on the container
_TAGGED = ("mp3", "flac", "opus")
_SMALL_DISK_MB = 48


def main() -> None:
    """Run the given parts, or all."""
    if sys.argv[1:2] and sys.argv[1] in REPORTS:
        count = {"count": int(sys.argv[2])} if sys.argv[2:] else {}
        report = REPORTS[sys.argv[1]](**count)
        click.echo(report)
        sys.exit(bool(getattr(report, "faults", False)))  # a LoadReport has none
    options = _options(sys.argv[1:])
    started = time.monotonic()
    memory = Path("/dev/shm")
    trials = []
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        library = make_library(folder / "media")
        if set(options.parts) - {"tag"}:
            trials.append(_write(folder / "write", library, options))
        if "full-disk" in options.parts:
            trials.append(_fill(folder / "small", library, options))
        if "tag" in options.parts:
            trials.append(_tag(folder / "tag", library, options))
    _sum_up(trials, time.monotonic() - started)


def attempt(trials: Trials, scenario: Scenario, parts: Sequence[str], *, thorough: bool) -> None:
    """Run parts on a command. `thorough`: include what does not depend on the container."""
    bench = trials.bench
    for place in (bench.library, bench.home)[: 1 + thorough]:
        if "kills" in parts:
            kill(trials, scenario, place)
        if "failures" in parts:
            fail(trials, scenario, place)
    if "order" in parts:
        check_order(trials, scenario)
    if "meddling" in parts:
        meddle(trials, scenario, thorough=thorough)
    if "full-disk" in parts and thorough:
        limit_files(trials, scenario)
    if "damage" in parts and thorough:
        _damage(trials, scenario)


def _damage(trials: Trials, scenario: Scenario) -> None:
    damage(trials, scenario, lambda name: "cache" in name.parts, repaired=False)
    match scenario.name.partition(" ")[0]:
        case "apply":
            damage(trials, scenario, lambda name: name.parts[0] == "preview", repaired=True)
        case "undo":
            damage(trials, scenario, lambda name: "journal" in name.name, repaired=True)
        case "strip":
            damage_journal(trials, scenario)


def _write(folder: Path, library: Library, options: argparse.Namespace) -> Trials:
    trials = _trials(folder, options)
    with trials.commands:
        for container, file in library.every_container.items():
            if not options.containers or container in options.containers:
                for scenario in scenarios(trials, {container: file}):
                    thorough = container == _THOROUGH
                    attempt(trials, scenario, options.parts, thorough=thorough)
                click.echo(f"{container}: {trials.done.total()} trials")
    return trials


def _fill(folder: Path, library: Library, options: argparse.Namespace) -> Trials:
    with small_disk(folder, _SMALL_DISK_MB) as mounted:
        trials = _trials(folder / "bench", options, output=folder.with_name("filled"))
        with trials.commands:
            if mounted:
                files = {_THOROUGH: library.every_container[_THOROUGH]}
                for scenario in scenarios(trials, files):
                    fill_disk(trials, scenario)
            else:
                click.echo("full-disk: cannot mount a file system; only file sizes were limited")
    return trials


def _tag(folder: Path, library: Library, options: argparse.Namespace) -> Trials:
    trials = _trials(folder, options, *MODULES)
    with trials.commands:
        try_tag(trials, {name: library.every_container[name] for name in _TAGGED})
    return trials


def _trials(
    folder: Path, options: argparse.Namespace, *modules: str, output: Path | None = None
) -> Trials:
    """Create trials in a folder; command output goes to `output`, or else to the same folder."""
    for one in filter(None, (folder, output)):
        one.mkdir()
    bench = Bench(folder)
    commands = Commands(output or folder, bench.environment, *modules)
    return Trials(
        bench=bench, commands=commands, every=options.every, seed=options.seed, only=options.only
    )


def _sum_up(all_trials: Sequence[Trials], seconds: float) -> None:
    done = sum((trials.done for trials in all_trials), start=type(all_trials[0].done)())
    broken = [fault for trials in all_trials for fault in trials.broken]
    click.echo()
    for part, count in done.items():
        click.echo(f"{part:<10} {count:6} trials, {sum(b.startswith(part) for b in broken)} faults")
    click.echo(
        f"{'all':<10} {done.total():6} trials, {len(broken)} faults, {seconds / 60:.0f} minutes"
    )
    for fault in broken:
        click.echo(f"  {fault}")
    if broken:
        click.echo("Some trials failed. To repeat one: python -m tests.faults PART --only 'NAME'")
    sys.exit(bool(broken))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--every", type=int, default=1, help="run one in N trials")
    parser.add_argument("--seed", type=int, default=0, help="seed for choosing trials and damage")
    parser.add_argument("--only", default="", help="run only trials whose names contain this")
    parser.add_argument("--containers", nargs="*", default=(), help="run only these containers")
    options = parser.parse_args(arguments)
    options.parts = options.parts or list(PARTS)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
