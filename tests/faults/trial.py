"""A trial: a command meets a fault, then goes on without one, then is undone."""

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
_MOST_UNDOINGS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A command in a state of the bench, and what it does there when nothing goes wrong.

    `before` and `after` are the library's files, `calls` the system calls in between; `undone` is
    what the library was like before all commands.
    """

    name: str
    state: str
    command: tuple[str, ...]
    before: Look
    after: Look
    undone: Look
    calls: list[Call]

    def calls_at(self, place: Path, kinds: frozenset[str]) -> list[tuple[int, str]]:
        """The calls of these kinds at or below a place, numbered as a Fault counts them."""
        there = [kind for kind, path in self.calls if f"{path}/".startswith(f"{place}/")]
        return list(enumerate((kind for kind in there if kind in kinds), 1))


@dataclass(slots=True, kw_only=True)
class Trials:
    """Runs trials on a bench, and keeps count of them.

    Of all trials, one in `every` is run, chosen by `seed` and its name; with `only`, those whose
    name holds that text. `broken` has a line for each thing that was not as promised.
    """

    bench: Bench
    commands: Commands
    every: int = 1
    seed: int = 0
    only: str = ""
    tell: Callable[[str], None] = print
    done: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _at: str = ""

    def scenario(
        self, name: str, state: str, command: tuple[object, ...], undone: Look
    ) -> Scenario:
        """Run a command without faults from `state` on, and keep `NAME done` as a state."""
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
        """Whether this trial is wanted; what is noted inside carries its name."""
        if self.only:
            wanted = self.only in f"{part}: {name}"
        else:
            wanted = zlib.crc32(f"{self.seed} {part} {name}".encode()) % self.every == 0
        self._at = f"{part}: {name}"
        yield wanted
        self.done[part] += wanted

    def note(self, *faults: str) -> None:
        """Note what was not as promised."""
        for fault in faults:
            self.broken.append(f"{self._at}: {fault}")
            self.tell(f"BROKEN {self._at}: {fault}")

    def run(self, part: str, name: str, scenario: Scenario, fault: Fault) -> None:
        """Let a command meet a fault, and judge; then see whether the next run completes it."""
        with self.trial(part, f"{scenario.name} {name}") as wanted:
            if wanted:
                self.bench.restore(scenario.state)
                ended = self.commands.run(*scenario.command, fault=fault)
                self.judge(scenario, ended, truthful=fault.mode is not Mode.LATE)
                self.complete(scenario)

    def judge(self, scenario: Scenario, ended: Ended | None, *, truthful: bool = True) -> None:
        """Whether each file is as before or complete, and what was said of it is true."""
        now = look(self.bench.library)
        self.note(*broken(now, scenario.before, scenario.after))
        self.note(*misbehaved(ended))
        if truthful and ended and ended.code >= 0:
            self.note(*self._lies(scenario, ended, now))

    def complete(self, scenario: Scenario) -> None:
        """Whether the same command completes the work, leaves no strays, and is undone wholly."""
        again = self.commands.run(*scenario.command)
        self.note(*misbehaved(again))
        if again.code != 0:
            self.note(f"the next run ended with {again.code}: {again.stdout}{again.stderr}")
        self.note(*(f"next run: {one}" for one in broken(look(self.bench.library), scenario.after)))
        if scenario.command[0] == "undo" and strays(look(self.bench.library)):
            # There was nothing left to undo: what comes by next clears them away.
            self.commands.run("strip", "--no-journal", self.bench.library)
        self.note(*(f"{name} is left behind" for name in strays(look(self.bench.trial))))
        self.undo(scenario)

    def undo(self, scenario: Scenario) -> None:
        """Whether every byte and time comes back."""
        for _ in range(_MOST_UNDOINGS):
            if not (wrong := list(broken(look(self.bench.library), scenario.undone, times=True))):
                return
            self.note(*misbehaved(self.commands.run(*_UNDO)))
        self.note(*(f"after undo: {one}" for one in wrong))

    def _lies(self, scenario: Scenario, ended: Ended, now: Look) -> Iterator[str]:
        """What was said of a file that is not so."""
        true = {"written": scenario.after, "failed": scenario.before}
        for album in ended.objects():
            for file in album.get("files", ()) if album["type"] == "album" else ():
                name = str(file["path"]).removeprefix(f"{self.bench.library}/")
                if file["status"] in true and name in {*scenario.before, *scenario.after}:
                    pair = (now, true[file["status"]])
                    mine, expected = ({name: one[name]} if name in one else {} for one in pair)
                    said = f"it says {file['status']} ({file['message']}), but"
                    yield from (f"{said} {one}" for one in broken(mine, expected))
