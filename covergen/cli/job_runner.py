"""How every command runs its job: shown while it works, stopped by Ctrl-C, summed up at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from covergen.cli.interrupt import interruptible
from covergen.cli.output import jsonl
from covergen.cli.output import text as lines
from covergen.core.errors import Interrupted
from covergen.pipeline.events import Checkpoint, Emit

if TYPE_CHECKING:
    from covergen.cli.output.progress import Renderer

Job = Callable[[Emit, Checkpoint], None]
"""What `covergen.jobs` offers, with everything but `emit` and `checkpoint` filled in."""

__all__ = ["Job", "run_job"]


def run_job(job: Job, renderer: Renderer) -> None:
    """Run a job and sum it up, also where it is stopped or cannot go on.

    Exits with 1 where something failed; raises Interrupted, and what the job raises.
    """
    interrupted, ended = False, False
    try:
        with interruptible() as stop_if_asked, renderer:

            def checkpoint() -> None:
                stop_if_asked()
                renderer.tick()

            try:
                job(renderer, checkpoint)
                ended = True
            except (Interrupted, KeyboardInterrupt):
                interrupted = True
    finally:
        _sum_up(renderer, interrupted=interrupted, ended=ended)
    if interrupted:
        raise Interrupted
    if renderer.tally.failed:
        click.get_current_context().exit(1)


def _sum_up(renderer: Renderer, *, interrupted: bool, ended: bool) -> None:
    if renderer.as_json:
        summary = jsonl.run_summary(renderer.tally, interrupted=interrupted)
        click.echo(jsonl.dumps("summary", summary))
        return
    if not renderer.tally.is_empty:
        click.echo()
        for line in lines.tally_lines(renderer.tally):
            click.echo(line)
    if interrupted:
        click.echo("Interrupted. Run the same command again for the rest.", err=True)
    elif ended and renderer.tally.is_empty:
        click.echo("No music was found.", err=True)
