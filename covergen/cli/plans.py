"""A plan before its run: counted, printed album by album, and agreed to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from covergen.cli import jsonl, lines
from covergen.cli.bars import aside, bar
from covergen.cli.interrupt import interruptible
from covergen.cli.render import file_line, is_only_counted
from covergen.core.types import AlbumPlan
from covergen.jobs.events import PlanTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from covergen.core.types import Outcome
    from covergen.jobs.events import Checkpoint

    Plans = Callable[[Checkpoint], Iterable[AlbumPlan | Outcome]]

__all__ = ["agreed", "count", "is_watched", "print_totals", "show_totals"]


def count(plans: Plans, options: dict[str, Any], *, show: bool) -> PlanTotals:
    """Add up a plan, and where `show` says so, print it album by album."""
    totals = PlanTotals()
    with (
        bar("scanned", "tracks", hidden=options["quiet"]) as scanned,
        interruptible() as checkpoint,
    ):
        for item in plans(checkpoint):
            totals.add(item)
            scanned.update(len(item.album.tracks) if isinstance(item, AlbumPlan) else 1)
            if show:
                with aside():
                    _print_planned(item, options)
    return totals


def _print_planned(item: AlbumPlan | Outcome, options: dict[str, Any]) -> None:
    if not isinstance(item, AlbumPlan):
        if options["as_json"] or options["verbose"] or not is_only_counted(item):
            click.echo(file_line(item, as_json=options["as_json"]))
    elif options["as_json"]:
        click.echo(jsonl.dumps("album", jsonl.plan_object(item)))
    elif not options["quiet"]:
        click.echo(lines.plan_line(item))
        for track in item.targets if options["verbose"] else ():
            click.echo(f"        {lines.shown(track.path)}")


def show_totals(totals: PlanTotals, options: dict[str, Any]) -> None:
    """The end of a dry run, and the step after it. Exits with 1 where a file would fail."""
    print_totals(totals, lines.totals_lines(totals), options)
    if not options["as_json"]:
        if totals.is_empty:
            click.echo("No music was found.", err=True)
        elif totals.has_work and not options["quiet"]:
            click.echo("Next: the same command without --dry-run.", err=True)
    if totals.failed:
        click.get_current_context().exit(1)


def print_totals(totals: PlanTotals, totals_lines: Iterable[str], options: dict[str, Any]) -> None:
    """What a plan adds up to: an object, or lines behind an empty one."""
    if options["as_json"]:
        click.echo(jsonl.dumps("summary", jsonl.plan_summary(totals)))
        return
    click.echo()
    for line in totals_lines:
        click.echo(line)


def is_watched(options: dict[str, Any]) -> bool:
    """Whether somebody is asked, or sees bars; else a plan need not be known beforehand."""
    asked = not options["yes"] and sys.stdin.isatty()
    return asked or (not options["quiet"] and sys.stderr.isatty())


def agreed(totals_lines: Iterable[str], options: dict[str, Any]) -> bool:
    """Show what would be written and ask once; without a terminal to ask on, go ahead."""
    if options["yes"] or not sys.stdin.isatty():
        return True
    for line in totals_lines:
        click.echo(line, err=True)
    try:
        agrees = click.confirm("Go ahead?", default=True, err=True)
    except click.Abort:
        click.echo("\nNothing was written.", err=True)
        raise
    if not agrees:
        click.echo("Nothing was written.", err=True)
    return agrees
