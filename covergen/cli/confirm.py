"""A plan before its run: counted, printed album by album, and agreed to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.interrupt import interruptible
from covergen.cli.output import jsonl
from covergen.cli.output import text as lines
from covergen.cli.output.bars import aside, bar
from covergen.cli.output.progress import file_line, is_told
from covergen.core.types import AlbumPlan
from covergen.pipeline.events import MOST_LISTED, PlanTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from covergen.core.types import Outcome
    from covergen.pipeline.events import Checkpoint

    Plans = Callable[[Checkpoint], Iterable[AlbumPlan | Outcome]]

__all__ = ["agreed", "count", "is_watched", "print_totals", "show_totals", "would_ask"]


def count(plans: Plans, options: dict[str, Any], *, show: bool) -> PlanTotals:
    """Add up a plan, and where `show` says so, print it album by album."""
    totals = PlanTotals()
    with (
        bar("scanned", "track", hidden=options["quiet"]) as scanned,
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
    as_json = options["as_json"]
    if not isinstance(item, AlbumPlan):
        if is_told(item, as_json=as_json, verbose=options["verbose"]):
            click.echo(file_line(item, as_json=as_json))
        return
    if as_json:
        click.echo(jsonl.dumps("album", jsonl.plan_object(item)))
    elif not options["quiet"]:
        click.echo(lines.plan_line(item))
        for track in item.targets if options["verbose"] else ():
            click.echo(f"        {lines.shown(track.path)}")
    for outcome in item.hindered:
        click.echo(file_line(outcome, as_json=as_json))


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
    return would_ask(options) or (not options["quiet"] and sys.stderr.isatty())


def would_ask(options: dict[str, Any]) -> bool:
    """Whether there is somebody to ask, who wants to be asked."""
    return not options["yes"] and sys.stdin.isatty()


def agreed(totals: PlanTotals, totals_lines: Iterable[str], options: dict[str, Any]) -> bool:
    """Show what would be written and ask once; without a terminal to ask on, go ahead.

    Up to MOST_LISTED albums are listed, and Enter means yes; for more, it means no.
    """
    if not would_ask(options):
        return True
    few = totals.worked_on <= MOST_LISTED
    for plan in totals.first if few else ():
        click.echo(lines.plan_line(plan), err=True)
    for line in totals_lines:
        click.echo(line, err=True)
    if not few:
        albums = lines.counted(totals.worked_on, "album")
        click.echo(f"To list these {albums}: the same command with --dry-run.", err=True)
    try:
        agrees = click.confirm("Go ahead?", default=few, err=True)
    except click.Abort:
        click.echo("\nNothing was written.", err=True)
        raise
    if not agrees:
        click.echo("Nothing was written.", err=True)
    return agrees
