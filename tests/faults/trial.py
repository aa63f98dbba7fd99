"""A trial: run a command with a fault, run it again without one, then undo it."""

from __future__ import annotations

import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.promise import broken, look, misbehaved, strays
from tests.faults.shim import Fault, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.bench import Bench
    from tests.faults.command import Call, Commands, Ended
    from tests.faults.promise import Look

__all__ = ["Scenario", "Trials"]

_UNDO = ("undo", "--yes", "--json")
_MAX_UNDOS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A command in a saved state of the bench, and what it does without a fault.

    `before` and `after` are the library's files, and `calls` the system calls in between. `undone`
    is the library before all commands.
    """

    name: str
    state: str
    command: tuple[str, ...]
    before: Look
    after: Look
    undone: Look
    calls: list[Call]

    def calls_at(self, place: Path, kinds: frozenset[str]) -> list[tuple[int, str]]:
        """The calls of these kinds at or below a place, numbered like in a Fault."""
        there = [kind for kind, path in self.calls if f"{path}/".startswith(f"{place}/")]
        return list(enumerate((kind for kind in there if kind in kinds), 1))


@dataclass(slots=True, kw_only=True)
class Trials:
    """Runs trials on a bench, and counts them.

    Runs one in `every` trials, chosen by `seed` and name, or with `only` those whose names contain
    that text. `broken` contains a line for each broken promise.
    """

    bench: Bench
    commands: Commands
    every: int = 1
    seed: int = 0
    only: str = ""
    report: Callable[[str], None] = print
    done: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _at: str = ""

    def scenario(
        self, name: str, state: str, command: tuple[object, ...], undone: Look
    ) -> Scenario:
        """Run a command without faults from `state`, and save the result as `NAME done`."""
        words = tuple(map(str, command))
        self.bench.restore(state)
        before = look(self.bench.library)
        ended = self.commands.run(*words, fault=Fault(place=self.bench.trial))
        assert ended.code == 0, ended
        self.bench.keep(f"{name} done")
        return Scenario(
            name=name,
            state=state,
            command=words,
            before=before,
            after=look(self.bench.library),
            undone=undone,
            calls=ended.calls,
        )

    @contextmanager
    def trial(self, part: str, name: str) -> Iterator[bool]:
        """Yield whether to run this trial; `note` adds its name to messages."""
        if self.only:
            wanted = self.only in f"{part}: {name}"
        else:
            wanted = zlib.crc32(f"{self.seed} {part} {name}".encode()) % self.every == 0
        self._at = f"{part}: {name}"
        yield wanted
        self.done[part] += wanted

    def note(self, *faults: str) -> None:
        """Record broken promises."""
        for fault in faults:
            self.broken.append(f"{self._at}: {fault}")
            self.report(f"BROKEN {self._at}: {fault}")

    def run(self, part: str, name: str, scenario: Scenario, fault: Fault) -> None:
        """Run a command with a fault and check the result and the next run."""
        with self.trial(part, f"{scenario.name} {name}") as wanted:
            if wanted:
                self.bench.restore(scenario.state)
                ended = self.commands.run(*scenario.command, fault=fault)
                self.check(scenario, ended, truthful=fault.mode is not Mode.LATE)
                self.complete(scenario, times=not self.may_lose_times(scenario, fault.place))

    def check(self, scenario: Scenario, ended: Ended | None, *, truthful: bool = True) -> None:
        """Check that each file is unchanged or complete, and reported correctly."""
        now = look(self.bench.library)
        self.note(*broken(now, scenario.before, scenario.after))
        self.note(*misbehaved(ended))
        if truthful and ended and ended.code >= 0:
            self.note(*self._wrong_reports(scenario, ended, now))

    def complete(self, scenario: Scenario, *, times: bool = True) -> None:
        """Check that the next run completes the work, cleans up, and can be undone."""
        again = self.commands.run(*scenario.command)
        self.note(*misbehaved(again))
        if again.code != 0:
            self.note(f"the next run ended with {again.code}: {again.stdout}{again.stderr}")
        self.note(*(f"next run: {one}" for one in broken(look(self.bench.library), scenario.after)))
        if scenario.command[0] == "undo" and strays(look(self.bench.library)):
            # Nothing was left to undo: the next command deletes them.
            self.commands.run("strip", "--no-journal", self.bench.library)
        self.note(*(f"{name} is left behind" for name in strays(look(self.bench.trial))))
        self.undo(scenario, times=times)

    def may_lose_times(self, scenario: Scenario, place: Path) -> bool:
        """Whether a fault at `place` may make strip run without its journal, which keeps times."""
        return scenario.command[0] == "strip" and self.bench.home.is_relative_to(place)

    def undo(self, scenario: Scenario, *, times: bool = True) -> None:
        """Check that undo restores every byte, and every modification time with `times`."""
        for _ in range(_MAX_UNDOS):
            if not (wrong := list(broken(look(self.bench.library), scenario.undone, times=times))):
                return
            self.note(*misbehaved(self.commands.run(*_UNDO)))
        self.note(*(f"after undo: {one}" for one in wrong))

    def _wrong_reports(self, scenario: Scenario, ended: Ended, now: Look) -> Iterator[str]:
        """Yield wrong reports about files."""
        true = {"written": scenario.after, "failed": scenario.before}
        for album in ended.objects():
            for file in album.get("files", ()) if album["type"] == "album" else ():
                name = str(file["path"]).removeprefix(f"{self.bench.library}/")
                if file["status"] in true and name in {*scenario.before, *scenario.after}:
                    pair = (now, true[file["status"]])
                    mine, expected = ({name: one[name]} if name in one else {} for one in pair)
                    report = f"it says {file['status']} ({file['message']}), but"
                    yield from (f"{report} {one}" for one in broken(mine, expected))
