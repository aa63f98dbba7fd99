"""`covergen undo`: restore files to their state before a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.commands.runs import run_line
from covergen.cli.confirm import confirmed, count, show_totals, would_ask
from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.numbers import WholeNumber
from covergen.cli.options import (
    hardlinks_option,
    json_option,
    output_choice,
    quiet_option,
    verbose_option,
    yes_option,
)
from covergen.cli.output import text as lines
from covergen.cli.output.bars import bar
from covergen.cli.output.text import shown
from covergen.core.errors import UsageError

if TYPE_CHECKING:
    from covergen.jobs.undo import UndoOptions
    from covergen.journal.journal import Run
    from covergen.pipeline.events import CheckInterrupted, Emit, Event, PlanTotals

__all__ = ["undo"]


@click.command(short_help="Restore files to their state before a run.")
@click.argument("number", metavar="[RUN]", required=False, type=WholeNumber(1))
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@click.option(
    "-f", "--force", is_flag=True, help="Remove the cover even from files changed since the run."
)
@hardlinks_option
@yes_option
@quiet_option
@verbose_option
@json_option
def undo(number: int | None, **options: Any) -> None:
    """Restore files, byte for byte, to their state before RUN (by default, the last run).

    Cover files that the run created are removed. Files that have changed since are skipped.
    `covergen runs` lists the runs.
    """
    from covergen.jobs.undo import UndoOptions
    from covergen.library.writing.rewrite import RewriteOptions

    rewrite = RewriteOptions(hardlinks=options["hardlinks"])
    undo_options = UndoOptions(force=options["force"], rewrite=rewrite)
    run = _choose_run(number, undo_options, options)
    if run is None:
        return
    click.echo(run_line(run), err=True)
    if options["dry_run"]:
        show_totals(_count(run, undo_options, options), options)
    elif not would_ask(options):
        _run(run, undo_options, options)
    else:
        totals = _count(run, undo_options, options)
        if confirmed(totals, lines.totals_lines(totals), options):
            _run(run, undo_options, options)


def _count(run: Run, undo_options: UndoOptions, options: dict[str, Any]) -> PlanTotals:
    from covergen.jobs.undo import plan_undo

    return count(partial(plan_undo, run, undo_options), options, show=options["dry_run"])


def _choose_run(
    number: int | None, undo_options: UndoOptions, options: dict[str, Any]
) -> Run | None:
    """Return the run to undo, or None. Prints a message if there is none or a run is skipped.

    Raises UsageError if the run is from another library and the user would not be asked.
    """
    from covergen.jobs.undo import has_left, known_run, last_to_undo, share_a_place

    if number is not None:
        run = known_run(number)
        if has_left(run):
            return run
        click.echo(f"Nothing to undo: {_why_nothing(run)}.", err=True)
        return None
    with interruptible() as check_interrupted:
        last, skipped = last_to_undo(undo_options, check_interrupted)
    if last is None:
        click.echo("Nothing to undo.", err=True)
        return None
    for run in skipped:
        why = f"nothing left of run {run.id} can be undone"
        if not run.written:
            why = f"the {run.action} of {_roots(run)} wrote nothing"
        click.echo(f"Skipped: {why}.", err=True)
    asks = options["dry_run"] or would_ask(options)
    if not asks and any(not share_a_place(last, run) for run in skipped):
        raise UsageError(
            f"The last run that can be undone is run {last.id}, which is for another folder:"
            f" {_roots(last)}.",
            hint=f"To undo it, pass its number: covergen undo {last.id}",
        )
    return last


def _roots(run: Run) -> str:
    return ", ".join(shown(root) for root in run.roots)


def _why_nothing(run: Run) -> str:
    if run.action == "undo":
        return f"run {run.id} undid run {run.undoes}; run tag or apply again for its covers"
    if run.written:
        return f"run {run.id} is already undone"
    return f"run {run.id} wrote nothing"


def _run(run: Run, undo_options: UndoOptions, options: dict[str, Any]) -> None:
    from covergen.jobs.undo import undo as undo_run

    with bar("undone", "album", total=run.albums, hidden=options["quiet"]) as progress:

        def job(emit: Emit, check_interrupted: CheckInterrupted) -> None:
            def counted(event: Event) -> None:
                progress.update()
                emit(event)

            undo_run(run, undo_options, counted, check_interrupted)

        run_job(job, output_choice(options))
