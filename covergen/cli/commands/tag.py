"""`covergen tag`: paint covers for albums and embed them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.artists import artist_options, run_artists
from covergen.cli.confirm import confirmed, count, is_interactive, print_totals
from covergen.cli.job_runner import run_job
from covergen.cli.numbers import WholeNumber
from covergen.cli.options import (
    SectionedCommand,
    cover_names_option,
    json_option,
    model_choice,
    output_choice,
    paint_choice,
    paint_options,
    quiet_option,
    scan_choice,
    scan_options,
    seed_option,
    verbose_option,
    write_choice,
    write_options,
    yes_option,
)
from covergen.cli.output import text as lines
from covergen.cli.preview import check_preview_use, recalled, run_preview
from covergen.core.errors import ModelError, UsageError
from covergen.core.reasons import Reason
from covergen.pipeline.estimate import load_rates, rates_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.cli.job_runner import Job
    from covergen.models.presets import Preset
    from covergen.pipeline.events import PlanTotals, Tally
    from covergen.pipeline.options import PlanOptions, TagOptions

__all__ = ["plan_choice", "tag"]


@click.command(
    cls=SectionedCommand, short_help="Paint covers for albums without one and embed them."
)
@click.argument("paths", metavar="PATH...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@click.option(
    "--per",
    type=click.Choice(["album", "track"]),
    default="album",
    show_default=True,
    help="One cover per album or per track.",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing covers.")
@click.option("--fill", is_flag=True, help="Copy existing covers to the rest of the album.")
@artist_options
@click.option("--limit", type=WholeNumber(0), metavar="N", help="Maximum number of albums.")
@scan_options
@cover_names_option
@seed_option
@click.option(
    "--preview",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With --dry-run: paint covers into DIR for review.",
)
@click.option(
    "--candidates",
    type=WholeNumber(1, 16),
    default=1,
    show_default=True,
    metavar="N",
    help="Covers per album of a preview.",
)
@click.option(
    "--retry",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Repaint the albums marked in a choices.json.",
)
@click.option("--no-audio", is_flag=True, help="Do not add audio excerpts to the preview.")
@paint_options
@write_options
@yes_option
@quiet_option
@verbose_option
@json_option
def tag(paths: tuple[Path, ...], **options: Any) -> None:
    """Paint a cover for each album below PATH without one, and embed it in its tracks."""
    from covergen.pipeline.model import choose_preset

    check_preview_use(options)
    if options["preview"] and options["retry"]:
        paths, options = recalled(paths, options)
    if not paths:
        context = click.get_current_context()
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    if options["no_embed"] and options["fill"]:
        raise UsageError("--fill and --no-embed cannot be combined.")
    if options["force"] and options["fill"]:
        raise UsageError("--force and --fill cannot be combined.")
    tag_options = _tag_options(paths, choose_preset(model_choice(options)), options)
    if options["artists"]:
        run_artists(tag_options, options)
    elif options["preview"]:
        run_preview(tag_options, options)
    elif options["dry_run"]:
        _dry_run(tag_options, options)
    else:
        _run(tag_options, options)


def _tag_options(paths: tuple[Path, ...], preset: Preset, options: dict[str, Any]) -> TagOptions:
    from covergen.pipeline.options import TagOptions

    return TagOptions(
        plan=plan_choice(paths, options),
        paint=paint_choice(preset, options),
        seed=options["seed"],
    )


def plan_choice(paths: tuple[Path, ...], options: dict[str, Any]) -> PlanOptions:
    """Return what to plan, from the parsed options of this command."""
    from covergen.pipeline.options import PlanOptions

    scan, write = scan_choice(options, options["per"]), write_choice(options)
    return PlanOptions(
        paths=paths,
        scan=replace(scan, bare=write.sidecar),
        force=options["force"],
        fill=options["fill"],
        limit=options["limit"],
        write=write,
    )


def _dry_run(tag_options: TagOptions, options: dict[str, Any]) -> None:
    totals = _count(tag_options, options, show=True)
    print_totals(totals, _totals_lines(totals, tag_options), options)
    if not options["as_json"] and not options["quiet"]:
        _show_step_after_dry_run(totals, tag_options)
    if totals.failed:
        click.get_current_context().exit(1)


def _show_step_after_dry_run(totals: PlanTotals, tag_options: TagOptions) -> None:
    """Print the next step, or why the model could not be loaded. Loads no weights."""
    from covergen.pipeline.model import locate_model

    if totals.is_empty:
        click.echo("No music found.", err=True)
    if not totals.has_work:
        return
    try:
        if totals.covers:
            locate_model(tag_options.paint.preset)
    except ModelError as error:
        click.echo(f"Painting would fail, however: {error}", err=True)
    else:
        click.echo("Next: run the same command without --dry-run.", err=True)


def _run(tag_options: TagOptions, options: dict[str, Any]) -> None:
    """Run the job. On a terminal, count first for the confirmation and the progress bars."""
    from covergen.pipeline.model import check_model

    renderer = output_choice(options)
    if is_interactive(options):
        totals = _count(tag_options, options, show=False)
        if totals.covers:
            check_model(tag_options.paint)
        if totals.has_work and not confirmed(totals, _totals_lines(totals, tag_options), options):
            return
        renderer.tracks, renderer.albums = totals.tracks_to_embed, totals.covers
    run_job(_job(tag_options), renderer)
    if not options["quiet"]:
        _show_next_step(renderer.tally)


def _job(tag_options: TagOptions) -> Job:
    from covergen.jobs.tag import tag as tag_library

    return partial(tag_library, tag_options)


def _show_next_step(tally: Tally) -> None:
    if tally.count("painted"):
        step = "rescan the library in your player. For different covers, use --force --seed 1."
    elif any(reason is Reason.PARTIAL_ART for _, reason in tally.albums):
        step = "use --fill to copy covers to the other tracks of their albums."
    else:
        return
    click.echo(f"Next: {step}", err=True)


def _count(tag_options: TagOptions, options: dict[str, Any], *, show: bool) -> PlanTotals:
    from covergen.pipeline.planning import planned

    return count(partial(planned, tag_options.plan), options, show=show)


def _totals_lines(totals: PlanTotals, tag_options: TagOptions) -> Iterator[str]:
    yield from lines.totals_lines(totals)
    if totals.has_work:
        write = tag_options.plan.write
        rates = load_rates(rates_key(tag_options.paint, write.encoding))
        yield lines.cost_line(totals, write, rates)
