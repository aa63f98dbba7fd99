"""`covergen undo`: restore files to their state before a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import click

from covergen.cli.commands.runs import run_line
from covergen.cli.confirm import confirmed_plan, would_ask
from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.options import console_options, dry_run_option, hardlinks_option, yes_option
from covergen.cli.output.bars import bar
from covergen.cli.output.lines import shown
from covergen.cli.value_types import WholeNumber
from covergen.core.errors import UsageError

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.jobs.undo import UndoOptions
    from covergen.journal.schema import Run


@click.command()
@click.argument("number", metavar="[RUN]", required=False, type=WholeNumber(1))
@dry_run_option
@click.option(
    "-f", "--force", is_flag=True, help="Remove the cover even from files changed since the run."
)
@hardlinks_option
@yes_option
@console_options
def undo(
    *,
    number: int | None,
    dry_run: bool,
    force: bool,
    hardlinks: Literal["skip", "break"],
    yes: bool,
    console: ConsoleOptions,
) -> None:
    """Restore files, byte for byte, to their state before RUN (by default, the last run).

    Cover files that the run created are removed. Files that have changed since are skipped.
    `covergen runs` lists the runs.
    """
    from covergen.jobs.undo import UndoOptions, plan_undo
    from covergen.library.writing.rewrite import RewriteOptions

    options = UndoOptions(force=force, rewrite=RewriteOptions(hardlinks=hardlinks))
    asks = would_ask(yes=yes)
    run = _choose_run(number, options, asks=dry_run or asks)
    if run is None:
        return
    click.echo(run_line(run), err=True)
    plans = partial(plan_undo, run, options)
    if (dry_run or asks) and confirmed_plan(plans, console, dry_run=dry_run, yes=yes) is None:
        return
    _run(run, options, console)


def _choose_run(number: int | None, options: UndoOptions, *, asks: bool) -> Run | None:
    """Return the run to undo, or None. Prints a message if there is none or a run is skipped.

    Raises UsageError if the run is from another library and the user is not asked.
    """
    from covergen.jobs.undo import has_left, known_run, last_to_undo, share_a_place

    if number is not None:
        run = known_run(number)
        if has_left(run):
            return run
        click.echo(f"Nothing to undo: {_why_nothing(run)}.", err=True)
        return None
    with interruptible("nothing is being written") as check_interrupted:
        last, skipped = last_to_undo(options, check_interrupted)
    if last is None:
        click.echo("Nothing to undo.", err=True)
        return None
    for run in skipped:
        why = f"nothing left of run {run.id} can be undone"
        if not run.written:
            why = f"run {run.id} ({run.action} of {_roots(run)}) wrote nothing"
        click.echo(f"Skipped: {why}.", err=True)
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


def _run(run: Run, options: UndoOptions, console: ConsoleOptions) -> None:
    from covergen.jobs.undo import undo as undo_run

    with bar("undone", "album", total=run.albums, hidden=console.quiet) as progress:
        run_job(
            partial(undo_run, run, options),
            console.renderer(),
            promise="the current file is finished first",
            on_event=lambda _: progress.update(),
        )
