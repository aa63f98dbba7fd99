"""`covergen tag --artists`: pictures of artists in their folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from covergen.cli.confirm import confirmed_painting, count, show_totals
from covergen.cli.job_runner import run_job
from covergen.cli.option_group import is_on_command_line, option_group
from covergen.cli.output import lines
from covergen.core.errors import UsageError
from covergen.library.scanning.artist_folders import ARTIST_NAMES

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.pipeline.options import PlanOptions, TagOptions


@option_group("artist_file")
@click.option(
    "--artists",
    is_flag=True,
    help="Paint pictures of artists into folders named after them, instead of covers.",
)
@click.option(
    "--artist-name",
    type=click.Choice(ARTIST_NAMES),
    default=ARTIST_NAMES[0],
    help="Name of the file: artist for Navidrome, folder for Jellyfin and Kodi.",
)
def artist_options(*, artists: bool, artist_name: str) -> str:
    """Return the stem of the picture files, "" to paint covers."""
    return artist_name if artists else ""


def run_artists(
    tag_options: TagOptions, name: str, console: ConsoleOptions, *, dry_run: bool, yes: bool
) -> None:
    """Paint the pictures, or print the plan. Raises UsageError for options of covers."""
    from covergen.jobs.artists import paint_artists, plan_artists

    plan = tag_options.plan
    for option in _options_of_covers(plan):
        raise UsageError(f"--artists and {option} cannot be combined.")
    write = replace(plan.write, embed=False, sidecar=True)
    scan = replace(plan.scan, per="album", bare=True)
    plan = replace(plan, write=write, scan=scan, force=False, fill=False)
    tag_options = replace(tag_options, plan=plan)
    plans = partial(plan_artists, plan)
    totals_lines = partial(lines.totals_lines, noun="artist")
    if dry_run:
        totals = count(plans, console, show=True)
        show_totals(totals, totals_lines(totals), console, tag_options.paint)
        return
    renderer = console.renderer("artist")
    paint = tag_options.paint
    if confirmed_painting(plans, paint, totals_lines, renderer, console, yes=yes):
        run_job(partial(paint_artists, tag_options, name), renderer)


def _options_of_covers(plan: PlanOptions) -> Iterator[str]:
    """Yield the options on the command line that apply to covers only; defaults are ignored."""
    given = {
        "force": plan.force,
        "fill": plan.fill,
        "sidecar": plan.write.sidecar,
        "sidecar_purpose": plan.write.sidecar,
        "per": plan.scan.per == "track",
    }
    flags = {"sidecar_purpose": "--sidecar-for", "per": "--per track"}
    for name, is_given in given.items():
        if is_given and is_on_command_line(name):
            yield flags.get(name, f"--{name}")
