"""`covergen demo`: create a small library to try covergen on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.cli.help_sections import SectionedCommand
from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.model_options import paint_options
from covergen.cli.options import console_options, seed_option
from covergen.cli.output.bars import bar
from covergen.cli.output.lines import counted
from covergen.cli.value_types import WholeNumber

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.jobs.demo import Demo
    from covergen.pipeline.options import PaintOptions


@click.command(cls=SectionedCommand)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--albums", type=WholeNumber(1, 6), default=6, help="Number of albums to create.")
@seed_option
@paint_options
@console_options
def demo(
    *, folder: Path, albums: int, seed: int, paint: PaintOptions, console: ConsoleOptions
) -> None:
    """Create six short albums in DIR/Music, tag them, and write a sheet of their covers.

    The albums are synthesized, each in a different mood and container: MP3, FLAC, M4A, Ogg Vorbis,
    Opus and WAV. DIR must be a new folder or that of an earlier demo.
    """
    from covergen.jobs.demo import Demo, make_sheet
    from covergen.jobs.tag import tag
    from covergen.pipeline.load_model import check_model
    from covergen.pipeline.options import PlanOptions, TagOptions

    place = Demo(folder)
    place.check()
    check_model(paint)
    _make_library(place, albums, quiet=console.quiet)
    options = TagOptions(plan=PlanOptions(paths=(place.library,)), paint=paint, seed=seed)
    renderer = console.renderer()
    try:
        run_job(partial(tag, options), renderer)
    finally:
        if renderer.tally.count("painted"):
            make_sheet(place)
    if not console.quiet:
        click.echo(f"Covers: {place.sheet}", err=True)
        click.echo("Next: covergen tag --dry-run ~/Music", err=True)


def _make_library(place: Demo, albums: int, *, quiet: bool) -> None:
    from covergen.jobs.demo import make_library, unplayed

    if not (tracks := unplayed(place, albums)):
        return
    if not quiet:
        missing = counted(len({track.path.parent for track in tracks}), "album")
        click.echo(f"Making {missing} in {place.library}.", err=True)
    with (
        bar("made", "track", total=len(tracks), hidden=quiet) as progress,
        interruptible() as check_interrupted,
    ):
        for _ in make_library(tracks, check_interrupted):
            progress.update()
