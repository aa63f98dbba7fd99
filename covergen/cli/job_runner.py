"""Run a job with progress, Ctrl-C handling and a summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from covergen.cli.interrupt import PROMISE, interruptible
from covergen.cli.output import jsonl, lines
from covergen.core.errors import Interrupted
from covergen.pipeline.events import CheckInterrupted, Emit, Event

if TYPE_CHECKING:
    from covergen.cli.output.renderer import Renderer

Job = Callable[[Emit, CheckInterrupted], None]
"""A function of `covergen.jobs` with every argument bound except `emit` and `check_interrupted`."""


def run_job(
    job: Job,
    renderer: Renderer,
    *,
    promise: str = PROMISE,
    on_event: Callable[[Event], object] = lambda _: None,
) -> None:
    """Run a job and print its summary, even if the job is interrupted or raises.

    `promise` tells the user on Ctrl-C what happens before the command stops. `on_event` is called
    with each event after it is rendered.

    Exits with 1 if anything failed. Raises Interrupted and whatever the job raises.
    """
    interrupted, completed = False, False
    try:
        with interruptible(promise) as stop_if_interrupted, renderer:

            def check_interrupted() -> None:
                stop_if_interrupted()
                renderer.tick()

            def emit(event: Event) -> None:
                renderer(event)
                on_event(event)

            try:
                job(emit, check_interrupted)
                completed = True
            except (Interrupted, KeyboardInterrupt):
                interrupted = True
    finally:
        _print_summary(renderer, interrupted=interrupted, completed=completed)
    if interrupted:
        raise Interrupted
    if renderer.tally.failed:
        click.get_current_context().exit(1)


def _print_summary(renderer: Renderer, *, interrupted: bool, completed: bool) -> None:
    if renderer.as_json:
        summary = jsonl.run_summary(renderer.tally, interrupted=interrupted)
        click.echo(jsonl.dumps("summary", summary))
        return
    if not renderer.tally.is_empty:
        click.echo()
        for line in lines.tally_lines(renderer.tally, renderer.noun):
            click.echo(line)
    if interrupted:
        click.echo("Interrupted. Run the same command again to continue.", err=True)
    elif completed and renderer.tally.is_empty:
        click.echo("No music found.", err=True)
