"""`covergen runs`: list the runs in the journal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.options import json_option
from covergen.cli.output import jsonl
from covergen.cli.output.lines import counted, shown

if TYPE_CHECKING:
    from covergen.journal.schema import Run


_HEADER = (
    f"{'RUN':>5}  {'STARTED':<16}  {'ACTION':<9}{'ALBUMS':>12}{'FILES':>31}  {'STATE':<14}PATHS"
)


@click.command()
@json_option
def runs(*, as_json: bool) -> None:
    """List the runs that wrote files, newest first.

    Shows each run's number (for `covergen undo`), start, action, state and paths.
    """
    from covergen.journal.open_run import known_runs

    known = known_runs()
    if known and not as_json:
        click.echo(_HEADER)
    for run in known:
        click.echo(jsonl.dumps("run", _object(run)) if as_json else run_line(run))
    if not known and not as_json:
        click.echo("There are no runs in the journal.", err=True)


def run_line(run: Run) -> str:
    """Format a run as one line under _HEADER."""
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
    action = f"{run.action} {run.undoes}" if run.undoes else run.action
    files = f"{counted(run.albums, 'album'):>12}{run.written:>9,} written{run.failed:>7,} failed"
    roots = ", ".join(shown(root) for root in run.roots)
    return f"{run.id:>5}  {started}  {action:<9}{files}  {_state(run):<14}{roots}"


def _state(run: Run) -> str:
    if run.undone:
        return "undone" if run.undone == run.written else "partly undone"
    return "done" if run.finished else "stopped"


def _object(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "action": run.action,
        "undoes": run.undoes,
        "started": _timestamp(run.started),
        "finished": _timestamp(run.finished),
        "state": _state(run),
        "roots": [str(root) for root in run.roots],
        "version": run.version,
        "settings": dict(run.settings),
        "albums": run.albums,
        "written": run.written,
        "failed": run.failed,
        "undone": run.undone,
    }


def _timestamp(seconds: float | None) -> str | None:
    """Format seconds since the epoch as ISO 8601, in UTC."""
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
