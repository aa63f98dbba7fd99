"""`covergen undo`: take a run back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.commands.runs import run_line
from covergen.cli.confirm import agreed, count, show_totals, would_ask
from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.numbers import WholeNumber
from covergen.cli.options import (
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
    from covergen.pipeline.events import Checkpoint, Emit, Event, PlanTotals

__all__ = ["undo"]


@click.command(short_help="Put files back as they were before a run.")
@click.argument("number", metavar="[RUN]", required=False, type=WholeNumber(1))
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be done; touch nothing.")
@click.option(
    "-f", "--force", is_flag=True, help="Take our cover out also where a file was changed since."
)
@click.option(
    "--hardlinks",
    type=click.Choice(["skip", "break"]),
    default="skip",
    show_default=True,
    help="Files with several hard links: leave alone, or detach from the others.",
)
@yes_option
@quiet_option
@verbose_option
@json_option
def undo(number: int | None, **options: Any) -> None:
    """Put files back, byte for byte, as they were before RUN: the last one, or that number.

    Cover files beside the tracks go. A file that was changed by someone else since is left alone.
    `covergen runs` lists the runs.
    """
    from covergen.jobs.undo import UndoOptions
    from covergen.library.writing.rewrite import RewriteOptions

    rewrite = RewriteOptions(hardlinks=options["hardlinks"])
    undo_options = UndoOptions(force=options["force"], rewrite=rewrite)
    run = _chosen(number, undo_options, options)
    if run is None:
        return
    click.echo(run_line(run), err=True)
    if options["dry_run"]:
        show_totals(_planned(run, undo_options, options), options)
    elif not would_ask(options):
        _run(run, undo_options, options)
    else:
        totals = _planned(run, undo_options, options)
        if agreed(totals, lines.totals_lines(totals), options):
            _run(run, undo_options, options)


def _planned(run: Run, undo_options: UndoOptions, options: dict[str, Any]) -> PlanTotals:
    from covergen.jobs.undo import plan_undo

    return count(partial(plan_undo, run, undo_options), options, show=options["dry_run"])


def _chosen(number: int | None, undo_options: UndoOptions, options: dict[str, Any]) -> Run | None:
    """The run to be undone. Where there is none, or a later one is passed over, this is told.

    Raises UsageError where that is a run of another library and nobody would be asked.
    """
    from covergen.jobs.undo import has_left, known_run, last_to_undo, share_a_place

    if number is not None:
        run = known_run(number)
        if has_left(run):
            return run
        click.echo(f"There is nothing to undo: {_why_nothing(run)}.", err=True)
        return None
    with interruptible() as checkpoint:
        last, passed_over = last_to_undo(undo_options, checkpoint)
    if last is None:
        click.echo("There is nothing to undo.", err=True)
        return None
    for run in passed_over:
        why = f"nothing that is left of run {run.id} can be undone"
        if not run.written:
            why = f"the {run.action} of {_places(run)} wrote nothing"
        click.echo(f"Passed over: {why}.", err=True)
    unasked = not options["dry_run"] and not would_ask(options)
    if unasked and any(not share_a_place(last, run) for run in passed_over):
        raise UsageError(
            f"The last run that can be undone is run {last.id}, and it is of another place:"
            f" {_places(last)}.",
            hint=f"To undo that one, name it: covergen undo {last.id}",
        )
    return last


def _places(run: Run) -> str:
    return ", ".join(shown(root) for root in run.roots)


def _why_nothing(run: Run) -> str:
    if run.action == "undo":
        return f"run {run.id} took run {run.undoes} back; tag or apply again to have its covers"
    if run.written:
        return f"run {run.id} is undone already"
    return f"run {run.id} wrote nothing"


def _run(run: Run, undo_options: UndoOptions, options: dict[str, Any]) -> None:
    from covergen.jobs.undo import undo as undo_run

    with bar("undone ", "album", total=run.albums, hidden=options["quiet"]) as undone:

        def job(emit: Emit, checkpoint: Checkpoint) -> None:
            def counted(event: Event) -> None:
                undone.update()
                emit(event)

            undo_run(run, undo_options, counted, checkpoint)

        run_job(job, output_choice(options))
