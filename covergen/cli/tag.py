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
    paint_choice,
    paint_options,
    paths_argument,
    quiet_option,
    verbose_option,
    yes_option,
)
from covergen.cli.render import Renderer
from covergen.cli.run import run_job
from covergen.core.errors import UsageError
from covergen.core.types import Action, AlbumPlan
from covergen.jobs.estimate import load_rates
from covergen.jobs.events import PlanTotals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.cli.run import Job
    from covergen.core.types import Outcome
    from covergen.jobs.plan import PlanOptions
    from covergen.models.presets import Preset

__all__ = ["tag"]

_USUAL_SIDE = 512  # pixels: what Stable Diffusion 1.5 and the starter paint


@click.command()
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
def tag(paths: tuple[Any, ...], **options: Any) -> None:
    """Paint a cover for each album below PATH that has none, and write it into its tracks."""
    from covergen.jobs.model import choose_preset
    from covergen.jobs.plan import PlanOptions
    from covergen.library.scan import ScanOptions

    if options["no_embed"] and not options["sidecar"]:
        raise UsageError("--no-embed leaves nothing to write: add --sidecar.")
    preset = choose_preset(model_choice(options))
    plan = PlanOptions(
        paths=paths,
        scan=ScanOptions(exclude=options["exclude"], per=options["per"]),
        force=options["force"],
        fill=options["fill"],
        limit=options["limit"],
    )
    if options["dry_run"]:
        _dry_run(plan, preset, options)
    else:
        _run(plan, preset, options)


def _dry_run(plan: PlanOptions, preset: Preset, options: dict[str, Any]) -> None:
    totals = _count(plan, options, show=True)
    if options["as_json"]:
        click.echo(jsonl.dumps("summary", jsonl.summary_object(totals)))
    else:
        for line in _totals_lines(totals, preset, options):
            click.echo(line)
        if totals.has_work and not options["quiet"]:
            click.echo("Next: the same command without --dry-run.", err=True)
    if totals.failed:
        click.get_current_context().exit(1)


def _run(plan: PlanOptions, preset: Preset, options: dict[str, Any]) -> None:
    from covergen.jobs.model import locate_model

    totals = _count(plan, options, show=False)
    if totals.albums_to(Action.PAINT):
        locate_model(preset)  # what cannot work is told before the question
    if totals.has_work and not _agreed(totals, preset, options):
        click.echo("Nothing was written.", err=True)
        return
    renderer = Renderer(
        as_json=options["as_json"],
        quiet=options["quiet"],
        verbose=options["verbose"],
        tracks=totals.tracks[Action.PAINT],
        albums=totals.albums_to(Action.PAINT),
    )
    run_job(_job(plan, preset, options), renderer)


def _job(plan: PlanOptions, preset: Preset, options: dict[str, Any]) -> Job:
    from covergen.jobs.tag import TagOptions
    from covergen.jobs.tag import tag as tag_library
    from covergen.jobs.writing import WriteOptions
    from covergen.library.rewrite import RewriteOptions

    tag_options = TagOptions(
        plan=plan,
        paint=paint_choice(preset, options),
        seed=options["seed"],
        write=WriteOptions(
            embed=not options["no_embed"],
            sidecar=options["sidecar"],
            encoding=encoding_choice(options),
            rewrite=RewriteOptions(
                preserve_mtime=options["preserve_mtime"], hardlinks=options["hardlinks"]
            ),
        ),
    )
    return partial(tag_library, tag_options)


def _count(plan: PlanOptions, options: dict[str, Any], *, show: bool) -> PlanTotals:
    """Add up the plan, and where `show` says so, print it album by album."""
    from covergen.jobs.plan import planned

    totals = PlanTotals()
    with (
        bar("scanned", "tracks", hidden=options["quiet"]) as scanned,
        interruptible() as checkpoint,
        planned(plan, checkpoint) as items,
    ):
        for item in items:
            totals.add(item)
            scanned.update(len(item.album.tracks) if isinstance(item, AlbumPlan) else 1)
            if show:
                with aside():
                    _print_planned(item, options)
    return totals


def _print_planned(item: AlbumPlan | Outcome, options: dict[str, Any]) -> None:
    if isinstance(item, AlbumPlan):
        if options["as_json"]:
            click.echo(jsonl.dumps("album", jsonl.plan_object(item)))
        elif not options["quiet"]:
            click.echo(lines.plan_line(item))
            for track in item.targets if options["verbose"] else ():
                click.echo(f"        {lines.shown(track.path)}")
    elif options["as_json"]:
        click.echo(jsonl.dumps("file", jsonl.file_object(item)))
    else:
        click.echo(lines.outcome_line(item))


def _agreed(totals: PlanTotals, preset: Preset, options: dict[str, Any]) -> bool:
    """Show what would be written and ask once; without a terminal to ask on, go ahead."""
    if options["yes"] or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    for line in _totals_lines(totals, preset, options):
        click.echo(line, err=True)
    return click.confirm("Go ahead?", default=True, err=True)


def _totals_lines(totals: PlanTotals, preset: Preset, options: dict[str, Any]) -> Iterator[str]:
    side = options["size"] or _USUAL_SIDE
    return lines.totals_lines(totals, load_rates(preset.name), cover_bytes=3 * side * side)
