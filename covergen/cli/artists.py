"""`covergen tag --artists`: pictures of artists in their folders."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.confirm import confirmed, count, is_interactive, show_totals
from covergen.cli.job_runner import run_job
from covergen.cli.options import output_choice
from covergen.cli.output import text as lines
from covergen.core.errors import UsageError
from covergen.library.scanning.artists import ARTIST_NAMES

if TYPE_CHECKING:
    from covergen.pipeline.options import TagOptions

__all__ = ["artist_options", "run_artists"]

_EXCLUDED = ("force", "fill", "sidecar", "no_embed", "sidecar_purpose", "preview")


def artist_options(command: Any) -> Any:  # noqa: ANN401 - any command
    """Add the options of artists' pictures to a command."""
    command = click.option(
        "--artist-name",
        type=click.Choice(ARTIST_NAMES),
        default=ARTIST_NAMES[0],
        show_default=True,
        help="Name of the file: artist for Navidrome, folder for Jellyfin and Kodi.",
    )(command)
    return click.option(
        "--artists",
        is_flag=True,
        help="Paint pictures of artists into folders named after them, instead of covers.",
    )(command)


def run_artists(tag_options: TagOptions, options: dict[str, Any]) -> None:
    """Paint the pictures, or print the plan. Raises UsageError for options of covers."""
    from covergen.jobs.artists import paint_artists, plan_artists
    from covergen.pipeline.model import check_model

    if given := [name for name in _EXCLUDED if options[name]]:
        raise UsageError(f"--artists and --{given[0].replace('_', '-')} cannot be combined.")
    if options["per"] != "album":
        raise UsageError("--artists and --per track cannot be combined.")
    plan = tag_options.plan
    write = replace(plan.write, embed=False, sidecar=True)
    scan = replace(plan.scan, bare=True)
    tag_options = replace(tag_options, plan=replace(plan, write=write, scan=scan))
    plans = partial(plan_artists, tag_options.plan)
    if options["dry_run"]:
        show_totals(count(plans, options, show=True), options)
        return
    renderer = output_choice(options)
    if is_interactive(options):
        totals = count(plans, options, show=False)
        if totals.covers:
            check_model(tag_options.paint)
        if totals.has_work and not confirmed(totals, lines.totals_lines(totals), options):
            return
        renderer.tracks, renderer.albums = totals.tracks_to_embed, totals.covers
    run_job(partial(paint_artists, tag_options, options["artist_name"]), renderer)
