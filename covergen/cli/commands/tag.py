"""`covergen tag`: paint covers for albums and embed them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.cli.commands.preview import preview as preview_command
from covergen.cli.commands.preview import review_options, run_as_preview
from covergen.cli.commands.tag_artists import artist_options, run_artists
from covergen.cli.confirm import confirmed_painting, count, show_totals
from covergen.cli.help_sections import SectionedCommand
from covergen.cli.job_runner import run_job
from covergen.cli.model_options import engine_options, paint_options
from covergen.cli.option_group import is_on_command_line, option_group
from covergen.cli.options import (
    console_options,
    dry_run_option,
    plan_options,
    seed_option,
    write_options,
    written_plan,
    yes_option,
)
from covergen.cli.output import lines
from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.pipeline.time_estimate import load_rates, rates_key

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.pipeline.options import (
        PaintOptions,
        PlanOptions,
        RayOptions,
        TagOptions,
        WriteOptions,
    )
    from covergen.pipeline.totals import PlanTotals, Tally


@option_group("previews")
@click.option("--preview", type=click.Path(path_type=Path), metavar="DIR", hidden=True)
@review_options(hidden=True)
def _former_preview_options(
    *,
    preview: Path | None,
    candidates: int,  # noqa: ARG001 - only where these three were given counts
    retry: Path | None,  # noqa: ARG001
    no_audio: bool,  # noqa: ARG001
) -> bool:
    """Return whether to run `covergen preview`, of which these are options now."""
    if preview is not None:
        return True
    for name in ("candidates", "retry", "no_audio"):
        if is_on_command_line(name):
            raise UsageError(f"--{name.replace('_', '-')} is an option of `covergen preview`.")
    return False


@click.command(cls=SectionedCommand)
@plan_options
@artist_options
@dry_run_option
@seed_option
@paint_options
@engine_options
@write_options
@_former_preview_options
@yes_option
@console_options
@click.pass_context
def tag(
    ctx: click.Context,
    *,
    plan: PlanOptions,
    artist_file: str,
    dry_run: bool,
    seed: int,
    paint: PaintOptions,
    ray: RayOptions | None,
    write: WriteOptions,
    previews: bool,
    yes: bool,
    console: ConsoleOptions,
) -> None:
    """Paint a cover for each album below PATH without one, and embed it in its tracks."""
    from covergen.pipeline.options import TagOptions

    if previews:
        _preview(ctx, dry_run=dry_run)
        return
    options = TagOptions(
        plan=written_plan(plan, write),
        paint=replace(paint, size=paint.size or write.largest_size, ray=ray),
        seed=seed,
    )
    if artist_file:
        run_artists(options, artist_file, console, dry_run=dry_run, yes=yes)
    elif dry_run:
        _dry_run(options, console)
    else:
        _run(options, console, yes=yes)


def _preview(ctx: click.Context, *, dry_run: bool) -> None:
    instead = "covergen preview PATH... -o DIR"
    if not dry_run:
        raise UsageError("--preview requires --dry-run.", hint=f"Use instead: {instead}")
    known = {param.name for param in preview_command.params} | {"preview", "dry_run", "yes"}
    for param in ctx.command.params:
        if param.name not in known and is_on_command_line(str(param.name)):
            raise UsageError(
                f"{param.opts[0]} and --preview cannot be combined.",
                hint="How covers are written is an option of `covergen apply`.",
            )
    click.echo(f"Note: `tag --preview` will be removed. Use instead: {instead}", err=True)
    run_as_preview(ctx)


def _dry_run(tag_options: TagOptions, console: ConsoleOptions) -> None:
    from covergen.pipeline.plan_library import planned

    totals = count(partial(planned, tag_options.plan), console, show=True)
    show_totals(totals, _totals_lines(tag_options, totals), console, tag_options.paint)


def _run(tag_options: TagOptions, console: ConsoleOptions, *, yes: bool) -> None:
    from covergen.pipeline.plan_library import planned

    renderer = console.renderer(tag_options.plan.scan.per)
    plans = partial(planned, tag_options.plan)
    totals_lines = partial(_totals_lines, tag_options)
    if not confirmed_painting(plans, tag_options.paint, totals_lines, renderer, console, yes=yes):
        return
    from covergen.jobs.tag import tag as tag_library  # imports what is heavy

    run_job(partial(tag_library, tag_options), renderer)
    if not console.quiet:
        _show_next_step(renderer.tally)


def _show_next_step(tally: Tally) -> None:
    if tally.count("painted"):
        step = "rescan the library in your player. For different covers, use --force --seed 1."
    elif any(reason is Reason.PARTIAL_ART for _, reason in tally.albums):
        step = "use --fill to copy covers to the other tracks of their albums."
    else:
        return
    click.echo(f"Next: {step}", err=True)


def _totals_lines(tag_options: TagOptions, totals: PlanTotals) -> Iterator[str]:
    yield from lines.totals_lines(totals, tag_options.plan.scan.per)
    if totals.has_work:
        write = tag_options.plan.write
        rates = load_rates(rates_key(tag_options.paint, write.encoding))
        yield lines.cost_line(totals, write, rates)
