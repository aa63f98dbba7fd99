"""`covergen tag`: the main job."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from covergen.cli import jsonl, lines
from covergen.cli.bars import aside, bar
from covergen.cli.interrupt import interruptible
from covergen.cli.options import (
    encoding_choice,
    encoding_options,
    excluded,
    json_option,
    model_choice,
    output_choice,
    paint_choice,
    paint_options,
    paths_argument,
    quiet_option,
    verbose_option,
    yes_option,
)
from covergen.cli.render import file_line
from covergen.cli.run import run_job
from covergen.core.errors import ModelError, UsageError
from covergen.core.reasons import Reason
from covergen.core.types import AlbumPlan
from covergen.jobs.estimate import load_rates, rates_key
from covergen.jobs.events import PlanTotals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from covergen.cli.run import Job
    from covergen.core.types import Outcome
    from covergen.jobs.events import Tally
    from covergen.jobs.options import PlanOptions, TagOptions
    from covergen.models.presets import Preset

__all__ = ["tag"]


@click.command(short_help="Paint covers for albums that have none, into their tracks.")
@paths_argument
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan; touch nothing.")
@click.option(
    "--per",
    type=click.Choice(["album", "track"]),
    default="album",
    show_default=True,
    help="What shares a cover.",
)
@click.option("-f", "--force", is_flag=True, help="Paint also where there is a cover; replace it.")
@click.option(
    "--fill", is_flag=True, help="Put an album's own picture into its tracks that lack it."
)
@click.option(
    "--limit", type=click.IntRange(0), metavar="N", help="Work on at most so many albums."
)
@excluded
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Another seed, other covers.",
)
@paint_options
@encoding_options
@click.option("--sidecar", is_flag=True, help="Also write cover.png, never over an existing one.")
@click.option("--no-embed", is_flag=True, help="Leave the music files alone; with --sidecar.")
@click.option("--preserve-mtime", is_flag=True, help="Keep the files' modification times.")
@click.option(
    "--hardlinks",
    type=click.Choice(["skip", "break"]),
    default="skip",
    show_default=True,
    help="Files with several hard links: leave alone, or detach from the others.",
)
@yes_option
@quiet_option
@verbose_option
@json_option
def tag(paths: tuple[Path, ...], **options: Any) -> None:
    """Paint a cover for each album below PATH that has none, and write it into its tracks."""
    from covergen.jobs.model import choose_preset

    if options["no_embed"] and not options["sidecar"]:
        raise UsageError("--no-embed leaves nothing to write: add --sidecar.")
    if options["no_embed"] and options["fill"]:
        raise UsageError("--fill writes into tracks, --no-embed forbids it: leave one out.")
    if options["force"] and options["fill"]:
        raise UsageError("--force paints everything anew, --fill keeps what is there: choose one.")
    tag_options = _tag_options(paths, choose_preset(model_choice(options)), options)
    if options["dry_run"]:
        _dry_run(tag_options, options)
    else:
        _run(tag_options, options)


def _tag_options(paths: tuple[Path, ...], preset: Preset, options: dict[str, Any]) -> TagOptions:
    from covergen.jobs.options import PlanOptions, TagOptions, WriteOptions
    from covergen.library.rewrite import RewriteOptions
    from covergen.library.scan import ScanOptions

    return TagOptions(
        plan=PlanOptions(
            paths=paths,
            scan=ScanOptions(exclude=options["exclude"], per=options["per"]),
            force=options["force"],
            fill=options["fill"],
            limit=options["limit"],
            write=WriteOptions(
                embed=not options["no_embed"],
                sidecar=options["sidecar"],
                encoding=encoding_choice(options),
                rewrite=RewriteOptions(
                    preserve_mtime=options["preserve_mtime"], hardlinks=options["hardlinks"]
                ),
            ),
        ),
        paint=paint_choice(preset, options),
        seed=options["seed"],
    )


def _dry_run(tag_options: TagOptions, options: dict[str, Any]) -> None:
    totals = _count(tag_options.plan, options, show=True)
    if options["as_json"]:
        click.echo(jsonl.dumps("summary", jsonl.plan_summary(totals)))
    else:
        click.echo()
        for line in _totals_lines(totals, tag_options):
            click.echo(line)
        if not options["quiet"]:
            _show_what_follows(totals, tag_options)
    if totals.failed:
        click.get_current_context().exit(1)


def _show_what_follows(totals: PlanTotals, tag_options: TagOptions) -> None:
    """The step after a dry run, and what would stop it: no weight is loaded to know that."""
    from covergen.jobs.model import locate_model

    if totals.is_empty:
        click.echo("No music was found.", err=True)
    if not totals.has_work:
        return
    try:
        if totals.covers:
            locate_model(tag_options.paint.preset)
    except ModelError as error:
        click.echo(f"Painting would stop here, though: {error}", err=True)
    else:
        click.echo("Next: the same command without --dry-run.", err=True)


def _run(tag_options: TagOptions, options: dict[str, Any]) -> None:
    """Count first: for the question, for the bars, and to tell at once what cannot work."""
    from covergen.jobs.model import check_model

    totals = _count(tag_options.plan, options, show=False)
    if totals.covers:
        check_model(tag_options.paint)
    if totals.has_work and not _agreed(totals, tag_options, options):
        click.echo("Nothing was written.", err=True)
        return
    renderer = output_choice(options)
    renderer.tracks, renderer.albums = totals.heard, totals.covers
    run_job(_job(tag_options), renderer)
    if not options["quiet"]:
        _show_next_step(renderer.tally)


def _job(tag_options: TagOptions) -> Job:
    from covergen.jobs.tag import tag as tag_library

    return partial(tag_library, tag_options)


def _show_next_step(tally: Tally) -> None:
    if tally.count("painted"):
        step = "let your player rescan the library; --force --seed 1 paints other covers."
    elif any(reason is Reason.PARTIAL_ART for _, reason in tally.albums):
        step = "--fill spreads the covers that some tracks of an album have."
    else:
        return
    click.echo(f"Next: {step}", err=True)


def _count(plan: PlanOptions, options: dict[str, Any], *, show: bool) -> PlanTotals:
    """Add up the plan, and where `show` says so, print it album by album."""
    from covergen.jobs.plan import preview

    totals = PlanTotals()
    with (
        bar("scanned", "tracks", hidden=options["quiet"]) as scanned,
        interruptible() as checkpoint,
    ):
        for item in preview(plan, checkpoint):
            totals.add(item)
            scanned.update(len(item.album.tracks) if isinstance(item, AlbumPlan) else 1)
            if show:
                with aside():
                    _print_planned(item, options)
    return totals


def _print_planned(item: AlbumPlan | Outcome, options: dict[str, Any]) -> None:
    if not isinstance(item, AlbumPlan):
        click.echo(file_line(item, as_json=options["as_json"]))
    elif options["as_json"]:
        click.echo(jsonl.dumps("album", jsonl.plan_object(item)))
    elif not options["quiet"]:
        click.echo(lines.plan_line(item))
        for track in item.targets if options["verbose"] else ():
            click.echo(f"        {lines.shown(track.path)}")


def _agreed(totals: PlanTotals, tag_options: TagOptions, options: dict[str, Any]) -> bool:
    """Show what would be written and ask once; without a terminal to ask on, go ahead."""
    if options["yes"] or not sys.stdin.isatty():
        return True
    for line in _totals_lines(totals, tag_options):
        click.echo(line, err=True)
    try:
        return click.confirm("Go ahead?", default=True, err=True)
    except click.Abort:
        click.echo("\nNothing was written.", err=True)
        raise


def _totals_lines(totals: PlanTotals, tag_options: TagOptions) -> Iterator[str]:
    yield from lines.totals_lines(totals)
    if totals.has_work:
        write = tag_options.plan.write
        rates = load_rates(rates_key(tag_options.paint, write.encoding))
        yield lines.cost_line(totals, write, rates)
