"""`covergen strip`: remove covers that covergen painted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.confirm import confirmed, count, show_totals
from covergen.cli.job_runner import run_job
from covergen.cli.options import (
    journal_option,
    json_option,
    output_choice,
    paths_argument,
    quiet_option,
    rewrite_choice,
    rewrite_options,
    scan_choice,
    scan_options,
    verbose_option,
    yes_option,
)
from covergen.cli.output import text as lines

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["strip"]


@click.command(short_help="Remove covers that covergen painted.")
@paths_argument
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@scan_options
@journal_option
@rewrite_options
@yes_option
@quiet_option
@verbose_option
@json_option
def strip(paths: tuple[Path, ...], **options: Any) -> None:
    """Remove covergen's covers from the tracks below PATH, and its cover files next to them.

    The covers are recognized by their own metadata, so no journal is needed. Other pictures, tags
    and the audio are not changed. To restore what was there before, use `covergen undo`.
    """
    from covergen.jobs.strip import StripOptions, plan_strip
    from covergen.jobs.strip import strip as strip_library

    strip_options = StripOptions(
        paths=paths,
        scan=scan_choice(options),
        rewrite=rewrite_choice(options),
        journal=not options["no_journal"],
    )
    totals = count(partial(plan_strip, strip_options), options, show=options["dry_run"])
    if options["dry_run"]:
        show_totals(totals, options)
    elif not totals.has_work or confirmed(totals, lines.totals_lines(totals), options):
        run_job(partial(strip_library, strip_options), output_choice(options))
