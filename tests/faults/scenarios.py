"""The commands under test: apply, undo and strip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.promise import look, uncovered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.faults.trial import Scenario, Trials

__all__ = ["scenarios"]

_QUIET = ("--yes", "--json")


def scenarios(trials: Trials, files: Mapping[str, Path]) -> Iterator[Scenario]:
    """Yield apply, undo and strip on an album of these files, by container.

    Their results without a fault are checked too.
    """
    bench, name = trials.bench, " ".join(files) if len(files) < 4 else "all"
    bench.begin(files, covered=tuple(files)[:1] if len(files) > 1 else ())
    bench.keep("bare")
    bare = look(bench.library)
    where = (bench.preview, "--library", bench.library, "--choices", bench.choices)
    write = ("apply", *where, "--sidecar", *_QUIET)
    apply = trials.scenario(f"apply {name}", "bare", write, bare)
    album = "library/Album"
    bench.restore("bare")
    done = bench.folder / f"{apply.name} done"
    trials.note(*uncovered(bench.folder / "bare" / album, done / album, bench.cover()))
    yield apply

    undo = trials.scenario(f"undo {name}", f"{apply.name} done", ("undo", *_QUIET), bare)
    yield undo
    strip = ("strip", *_QUIET, bench.library)
    yield trials.scenario(f"strip {name}", f"{apply.name} done", strip, bare)
