"""`covergen undo`: take a run back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from covergen.cli import jsonl, lines
from covergen.cli.bars import bar
from covergen.cli.options import (
    json_option,
    output_choice,
    quiet_option,
    verbose_option,
    yes_option,
)
from covergen.cli.plans import agreed, count
from covergen.cli.run import run_job
from covergen.cli.runs import run_line

if TYPE_CHECKING:
    from covergen.jobs.events import Checkpoint, Emit, Event
    from covergen.jobs.undo import UndoOptions
    from covergen.library.journal import Run

__all__ = ["undo"]


@click.command(short_help="Put files back as they were before a run.")
@click.argument("number", metavar="[RUN]", required=False, type=click.IntRange(1))
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
    from covergen.jobs.undo import UndoOptions, run_to_undo
    from covergen.library.rewrite import RewriteOptions

    rewrite = RewriteOptions(hardlinks=options["hardlinks"])
    undo_options = UndoOptions(force=options["force"], rewrite=rewrite)
    run = run_to_undo(number)
    if run is None:
        click.echo("There is nothing to undo.", err=True)
    elif options["dry_run"]:
        _dry_run(run, undo_options, options)
    elif agreed([run_line(run)], options):
        _run(run, undo_options, options)


def _dry_run(run: Run, undo_options: UndoOptions, options: dict[str, Any]) -> None:
    from covergen.jobs.undo import plan_undo

    totals = count(partial(plan_undo, run, undo_options), options, show=True)
    if options["as_json"]:
        click.echo(jsonl.dumps("summary", jsonl.plan_summary(totals)))
    else:
        click.echo()
        for line in lines.totals_lines(totals):
            click.echo(line)
    if totals.failed:
        click.get_current_context().exit(1)


def _run(run: Run, undo_options: UndoOptions, options: dict[str, Any]) -> None:
    from covergen.jobs.undo import undo as undo_run

    with bar("undone ", "albums", total=run.albums, hidden=options["quiet"]) as undone:

        def job(emit: Emit, checkpoint: Checkpoint) -> None:
            def counted(event: Event) -> None:
                undone.update()
                emit(event)

            undo_run(run, undo_options, counted, checkpoint)

        run_job(job, output_choice(options))
