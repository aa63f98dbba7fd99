"""Faults during `covergen tag` with a model, including damage to the model's files."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from tests.faults.calls import fail, kill
from tests.faults.damage import damage, damaged
from tests.faults.promise import broken, look, misbehaved, uncovered
from tests.faults.shim import ALL, MUTATING, Fault, Mode
from tests.media.oracle import front_cover

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.faults.trial import Scenario, Trials

__all__ = ["MODULES", "try_tag"]

MODULES = (
    "torch",
    "covergen.pipeline.painting",
    "covergen.diffusion.painter",
    "covergen.diffusion.sampler",
    "covergen.audio.clap",
    "covergen.jobs.tag",
)
"""Modules that a run with a model imports late."""

_TAG = ("tag", "--model", "tiny", "--sidecar", "--jobs", "1", "--yes", "--json")


def try_tag(trials: Trials, files: Mapping[str, Path]) -> None:
    """Kill `covergen tag`, let its calls fail, and damage the files that it reads."""
    bench = trials.bench
    bench.begin(files)
    _add_model(bench.trial / "model", bench.home)
    bench.keep("bare")
    bare = look(bench.library)
    tag = trials.scenario("tag", "bare", (*_TAG, bench.library), bare)
    album = bench.folder / "tag done/library/Album"
    cover = (album / "cover.png").read_bytes()
    trials.note(*uncovered(bench.folder / "bare/library/Album", album, cover))
    for place in (bench.library, bench.home):
        kill(trials, tag, place)
    fail(trials, tag, bench.home)
    fail(trials, tag, bench.library, kinds=MUTATING)
    _fail_reading(trials, tag)
    stopped = _stopped(trials, tag)
    damage(trials, stopped, lambda name: name.parts[0] == "home", repaired=False)
    _damage_model(trials, tag)


def _stopped(trials: Trials, tag: Scenario) -> Scenario:
    """The run after one that was killed when its first song had been written."""
    bench = trials.bench
    bench.restore(tag.state)
    second = Fault(place=bench.library, mode=Mode.KILL, at=2, kinds=frozenset({"rename"}))
    assert trials.commands.run(*tag.command, fault=second).code < 0
    bench.keep("tag killed")
    return trials.scenario("tag again", "tag killed", tag.command, tag.undone)


def _fail_reading(trials: Trials, tag: Scenario) -> None:
    """Let reads fail: the other songs are embedded, and all songs get the same new cover."""
    bench = trials.bench
    reads = (call for call in tag.calls_at(bench.library, ALL) if call[1] not in MUTATING)
    for number, kind in reads:
        with trials.trial("failures", f"tag EIO at call {number} ({kind} in library)") as wanted:
            if wanted:
                bench.restore(tag.state)
                fault = Fault(place=bench.library, mode=Mode.FAIL, at=number, code=errno.EIO)
                trials.note(*misbehaved(trials.commands.run(*tag.command, fault=fault)))
                _check_some(trials, tag)
                trials.note(*misbehaved(trials.commands.run(*tag.command)))
                _check(trials, tag)
                trials.undo(tag)


def _check_some(trials: Trials, tag: Scenario) -> None:
    """Check that songs are unchanged, or all have the same new cover."""
    bench = trials.bench
    now = look(bench.library)
    changed = [name for name in tag.before if now.get(name) != tag.before[name]]
    if changed:
        picture = front_cover(bench.library / changed[0])
        before = bench.folder / tag.state / "library"
        trials.note(*uncovered(before, bench.library, picture, changed))


def _damage_model(trials: Trials, tag: Scenario) -> None:
    """Damage the model: all songs get the same cover, possibly another one, or a message."""
    bench = trials.bench
    model = bench.folder / tag.state / "model"
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        for how, data in damaged(file.read_bytes(), f"{trials.seed} {file.name}"):
            name = file.relative_to(model)
            with trials.trial("damage", f"tag {name} {how}") as wanted:
                if wanted:
                    bench.restore(tag.state)
                    (bench.trial / "model" / name).write_bytes(data)
                    trials.note(*misbehaved(trials.commands.run(*tag.command)))
                    _check(trials, tag)
                    trials.undo(tag)


def _check(trials: Trials, tag: Scenario) -> None:
    album = trials.bench.library / "Album"
    cover = album / "cover.png"
    if not cover.exists():
        trials.note(*broken(look(trials.bench.library), tag.before))
        return
    picture = cover.read_bytes()
    before = trials.bench.folder / tag.state / "library/Album"
    trials.note(*uncovered(before, album, picture))


def _add_model(folder: Path, home: Path) -> None:
    """Add a small model named "tiny"."""
    from tests.tiny_base import make_tiny_adapter, make_tiny_base
    from tests.tiny_clap import make_tiny_clap

    folder.mkdir()
    base = make_tiny_base(folder / "base")
    make_tiny_clap(folder / "clap")
    make_tiny_adapter(folder / "adapter.safetensors", base)
    presets = home / "config/covergen/models.toml"
    presets.parent.mkdir(parents=True)
    presets.write_text(
        f'[tiny]\nbase = "{base}"\nclap = "{folder}/clap"\n'
        f'adapter = "{folder}/adapter.safetensors"\nsteps = 2\nguidance = 3.0\n'
    )
