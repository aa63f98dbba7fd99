"""Count a plan, print it, and ask for confirmation before a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from covergen.cli.interrupt import interruptible
from covergen.cli.output import jsonl, lines
from covergen.cli.output.bars import aside, bar
from covergen.cli.output.renderer import file_line, is_listed
from covergen.cli.output.terminal import columns_of
from covergen.core.album import AlbumPlan, Outcome
from covergen.core.reasons import Reason
from covergen.pipeline.events import CheckInterrupted
from covergen.pipeline.totals import MOST_LISTED, PlanTotals

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.cli.output.renderer import Renderer
    from covergen.pipeline.options import PaintOptions

    Plans = Callable[[CheckInterrupted], Iterable[AlbumPlan | Outcome]]


def count(plans: Plans, console: ConsoleOptions, *, show: bool) -> PlanTotals:
    """Return the totals of a plan; with `show`, also print it album by album."""
    totals = PlanTotals()
    with (
        bar("scanned", "track", hidden=console.quiet) as progress,
        interruptible("nothing is being written") as check_interrupted,
    ):
        for item in plans(check_interrupted):
            totals.add(item)
            progress.update(len(item.album.tracks) if isinstance(item, AlbumPlan) else 1)
            if show:
                with aside():
                    _print_plan(item, console)
    return totals


def _print_plan(item: AlbumPlan | Outcome, console: ConsoleOptions) -> None:
    as_json = console.as_json
    if not isinstance(item, AlbumPlan):
        if is_listed(item, as_json=as_json, verbose=console.verbose):
            click.echo(file_line(item, as_json=as_json))
        return
    if as_json:
        click.echo(jsonl.dumps("album", jsonl.plan_object(item)))
    elif not console.quiet and (item.reason is not Reason.LIMIT or console.verbose):
        click.echo(lines.plan_line(item, columns_of(sys.stdout)))
        for path in item.files if console.verbose else ():
            click.echo(f"        {lines.shown(path)}")
    for outcome in item.hindered:
        click.echo(file_line(outcome, as_json=as_json))


def confirmed_plan(
    plans: Plans, console: ConsoleOptions, *, dry_run: bool, yes: bool
) -> PlanTotals | None:
    """Count a plan, and ask whether to carry it out if it would write anything.

    Returns None if the user declines, or after a dry run, which prints the plan.
    """
    totals = count(plans, console, show=dry_run)
    totals_lines = lines.totals_lines(totals)
    if dry_run:
        show_totals(totals, totals_lines, console)
        return None
    return totals if not totals.has_work or confirmed(totals, totals_lines, yes=yes) else None


def show_totals(
    totals: PlanTotals,
    totals_lines: Iterable[str],
    console: ConsoleOptions,
    paint: PaintOptions | None = None,
) -> None:
    """Print the totals of a dry run, and the next step.

    Exits with 1 if a file would fail. If covers would be painted, raises what `locate_model` does.
    """
    if console.as_json:
        click.echo(jsonl.dumps("summary", jsonl.plan_summary(totals)))
    else:
        for line in ("", *totals_lines):
            click.echo(line)
    if paint and totals.covers and paint.ray is None:  # a cluster's machines have the model
        from covergen.pipeline.model_files import locate_model

        locate_model(paint.preset)
    if not console.as_json and not console.quiet:
        if totals.is_empty:
            click.echo("No music found.", err=True)
        elif totals.has_work:
            click.echo("Next: run the same command without --dry-run.", err=True)
    if totals.failed:
        click.get_current_context().exit(1)


def confirmed_painting(
    plans: Plans,
    paint: PaintOptions,
    totals_lines: Callable[[PlanTotals], Iterable[str]],
    renderer: Renderer,
    console: ConsoleOptions,
    *,
    yes: bool,
) -> bool:
    """On a terminal, count the plan first, for the confirmation and the renderer's progress bars.

    Returns False if the user declines. Raises what `check_model` raises.
    """
    from covergen.pipeline.load_model import check_model

    if not (would_ask(yes=yes) or (not console.quiet and sys.stderr.isatty())):
        return True
    totals = count(plans, console, show=False)
    if totals.covers:
        check_model(paint)
    if totals.has_work and not confirmed(totals, totals_lines(totals), yes=yes):
        return False
    renderer.tracks, renderer.albums = totals.tracks_to_embed, totals.covers
    return True


def would_ask(*, yes: bool) -> bool:
    """Return whether the user can be asked: on a terminal, without --yes."""
    return not yes and sys.stdin.isatty()


def confirmed(totals: PlanTotals, totals_lines: Iterable[str], *, yes: bool) -> bool:
    """Show what would be written and ask once. Return True if the user cannot be asked.

    Up to MOST_LISTED albums are listed, and the default answer is yes; for more, it is no.
    """
    if not would_ask(yes=yes):
        return True
    few = totals.worked_on <= MOST_LISTED
    for plan in totals.first if few else ():
        click.echo(lines.plan_line(plan, columns_of(sys.stderr)), err=True)
    for line in totals_lines:
        click.echo(line, err=True)
    if not few:
        click.echo("To list them, run the same command with --dry-run.", err=True)
    try:
        answer = click.confirm("Continue?", default=few, err=True)
    except click.Abort:
        click.echo("\nNothing was written.", err=True)
        raise
    if not answer:
        click.echo("Nothing was written.", err=True)
    return answer
