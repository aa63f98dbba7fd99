"""Truncate covergen's own files, or flip bits in them."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.promise import broken, look, misbehaved
from tests.faults.trial import Scenario, Trials

__all__ = ["damage", "damage_journal", "damaged"]

_CUTS = 24
_FLIPS = 40


def damage(
    trials: Trials, scenario: Scenario, files: Callable[[Path], bool], *, repaired: bool
) -> None:
    """Damage each of the selected files before a command.

    `repaired`: restore the file before the next run; otherwise leave it as the command left it.
    """
    bench = trials.bench
    state = bench.folder / scenario.state
    names = sorted(path.relative_to(state) for path in state.rglob("*") if path.is_file())
    for name in filter(files, names):
        whole = (state / name).read_bytes()
        for how, data in damaged(whole, f"{trials.seed} {name}"):
            with trials.trial("damage", f"{scenario.name} {name} {how}") as wanted:
                if wanted:
                    bench.restore(scenario.state)
                    _write(bench.trial / name, data)
                    trials.check(scenario, trials.commands.run(*scenario.command))
                    if repaired:
                        _write(bench.trial / name, whole)
                    trials.complete(scenario)


def damage_journal(trials: Trials, scenario: Scenario) -> None:
    """Damage the journal before a command that writes to it, then run without a journal.

    Earlier writes cannot be undone then, but no music is affected.
    """
    bench = trials.bench
    folder = Path("home/state/covergen")
    for path in sorted((bench.folder / scenario.state / folder).glob("journal.sqlite*")):
        for how, data in damaged(path.read_bytes(), f"{trials.seed} {path.name}"):
            with trials.trial("damage", f"{scenario.name} {path.name} {how}") as wanted:
                if not wanted:
                    continue
                bench.restore(scenario.state)
                (bench.trial / folder / path.name).write_bytes(data)
                trials.check(scenario, trials.commands.run(*scenario.command))
                for shown in (("runs",), ("undo", "--dry-run"), ("info", bench.library)):
                    trials.note(*misbehaved(trials.commands.run(*shown)))
                again = trials.commands.run(*scenario.command, "--no-journal")
                trials.note(*misbehaved(again))
                trials.note(*broken(look(bench.library), scenario.after))


def damaged(whole: bytes, seed: str) -> Iterator[tuple[str, bytes]]:
    """Yield damaged versions of a file's bytes, with descriptions."""
    if not whole:
        return
    places = random.Random(seed)
    for length in sorted({0, 1, *(places.randrange(len(whole)) for _ in range(_CUTS))}):
        yield f"cut at {length}", whole[:length]
    for _ in range(_FLIPS):
        place, bit = places.randrange(len(whole)), places.randrange(8)
        flipped = bytes([whole[place] ^ 1 << bit])
        yield f"bit {bit} of byte {place} flipped", whole[:place] + flipped + whole[place + 1 :]


def _write(file: Path, data: bytes) -> None:
    """Write a file. For a database, also delete its write-ahead log."""
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    file.write_bytes(data)
