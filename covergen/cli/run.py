"""How every command runs its job: shown while it works, stopped by Ctrl-C, summed up at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from covergen.cli import jsonl, lines
from covergen.cli.interrupt import interruptible
from covergen.core.errors import Interrupted
from covergen.jobs.events import Emit

if TYPE_CHECKING:
    from covergen.cli.render import Renderer

Job = Callable[[Emit, Callable[[], None]], None]
"""What `covergen.jobs` offers, with everything but `emit` and `checkpoint` filled in."""

__all__ = ["Job", "run_job"]


def run_job(job: Job, renderer: Renderer) -> None:
    """Run a job and sum it up. Exits with 1 where something failed; raises Interrupted."""
    interrupted = False
    with interruptible() as checkpoint, renderer:
        try:
            job(renderer, checkpoint)
        except (Interrupted, KeyboardInterrupt):
            interrupted = True
    if renderer.as_json:
        summary = jsonl.summary_object(renderer.tally, interrupted=interrupted)
        click.echo(jsonl.dumps("summary", summary))
    else:
        for line in lines.tally_lines(renderer.tally):
            click.echo(line)
    if interrupted:
        raise Interrupted
    if renderer.tally.failed:
        click.get_current_context().exit(1)
