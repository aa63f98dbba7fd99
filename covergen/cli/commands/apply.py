"""`covergen apply`: write the covers of a reviewed preview."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from covergen.cli.confirm import confirmed, count, show_totals
from covergen.cli.job_runner import run_job
from covergen.cli.options import (
    SectionedCommand,
    cover_names_option,
    follow_symlinks_option,
    json_option,
    output_choice,
    quiet_option,
    verbose_option,
    write_choice,
    write_options,
    yes_option,
)
from covergen.cli.output import text as lines

__all__ = ["apply"]


@click.command(cls=SectionedCommand, short_help="Write the covers of a reviewed preview.")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--choices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The choices.json saved from the preview page.  [default: the first cover of each album]",
)
@click.option(
    "--library",
    "libraries",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="PATH",
    help="New location of the library, if it has moved. Repeatable, in the preview's order.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@follow_symlinks_option
@cover_names_option
@write_options
@yes_option
@quiet_option
@verbose_option
@json_option
def apply(folder: Path, **options: Any) -> None:
    """Write the covers of the preview in DIR to its music files.

    Nothing is painted again. Files that have changed or received a cover since are skipped.
    """
    from covergen.jobs.apply import apply as apply_preview
    from covergen.jobs.apply import plan_apply
    from covergen.pipeline.options import ApplyOptions

    apply_options = ApplyOptions(
        folder=folder,
        choices=options["choices"],
        libraries=options["libraries"],
        follow_symlinks=options["follow_symlinks"],
        cover_names=options["cover_names"],
        write=write_choice(options),
    )
    totals = count(partial(plan_apply, apply_options), options, show=options["dry_run"])
    if options["dry_run"]:
        show_totals(totals, options)
    elif not totals.has_work or confirmed(totals, lines.totals_lines(totals), options):
        renderer = output_choice(options)
        renderer.writes = totals.worked_on
        run_job(partial(apply_preview, apply_options), renderer)
