"""`covergen strip`: remove covers that covergen painted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.cli.confirm import confirmed_plan
from covergen.cli.job_runner import run_job
from covergen.cli.options import (
    console_options,
    dry_run_option,
    no_journal_option,
    paths_argument,
    rewrite_options,
    scan_options,
    yes_option,
)

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.library.scanning.scan import ScanOptions
    from covergen.library.writing.rewrite import RewriteOptions


@click.command()
@paths_argument
@dry_run_option
@scan_options
@no_journal_option
@rewrite_options
@yes_option
@console_options
def strip(
    *,
    paths: tuple[Path, ...],
    dry_run: bool,
    scan: ScanOptions,
    no_journal: bool,
    rewrite: RewriteOptions,
    yes: bool,
    console: ConsoleOptions,
) -> None:
    """Remove covergen's covers from the tracks below PATH, and its cover files next to them.

    The covers are recognized by their own metadata, so no journal is needed. Other pictures, tags
    and the audio are not changed. To restore what was there before, use `covergen undo`.
    """
    from covergen.jobs.strip import StripOptions, plan_strip
    from covergen.jobs.strip import strip as strip_library

    options = StripOptions(paths=paths, scan=scan, rewrite=rewrite, journal=not no_journal)
    plans = partial(plan_strip, options)
    if confirmed_plan(plans, console, dry_run=dry_run, yes=yes) is not None:
        run_job(
            partial(strip_library, options),
            console.renderer(),
            promise="the current album is finished first",
        )
