"""`covergen apply`: write the covers of a reviewed preview."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.cli.confirm import confirmed_plan
from covergen.cli.help_sections import SectionedCommand
from covergen.cli.job_runner import run_job
from covergen.cli.options import (
    console_options,
    cover_names_option,
    dry_run_option,
    follow_symlinks_option,
    write_options,
    yes_option,
)

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.pipeline.options import WriteOptions


@click.command(cls=SectionedCommand)
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
@dry_run_option
@follow_symlinks_option
@cover_names_option
@write_options
@yes_option
@console_options
def apply(
    *,
    folder: Path,
    choices: Path | None,
    libraries: tuple[Path, ...],
    dry_run: bool,
    follow_symlinks: bool,
    cover_names: tuple[str, ...],
    write: WriteOptions,
    yes: bool,
    console: ConsoleOptions,
) -> None:
    """Write the covers of the preview in DIR to its music files.

    Nothing is painted again; for sharp covers larger than the preview's, pass their --size to
    `covergen preview`. Files that have changed or received a cover since are skipped.
    """
    from covergen.jobs.apply import apply as apply_preview
    from covergen.jobs.apply import plan_apply
    from covergen.pipeline.options import ApplyOptions

    options = ApplyOptions(
        folder=folder,
        choices=choices,
        libraries=libraries,
        follow_symlinks=follow_symlinks,
        cover_names=cover_names,
        write=write,
    )
    totals = confirmed_plan(partial(plan_apply, options), console, dry_run=dry_run, yes=yes)
    if totals is not None:
        renderer = console.renderer()
        renderer.writes = totals.worked_on
        run_job(
            partial(apply_preview, options), renderer, promise="the current album is finished first"
        )
