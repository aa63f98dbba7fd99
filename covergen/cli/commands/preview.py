"""`covergen preview`: paint covers into a folder, for review before anything is written."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click.core import ParameterSource

from covergen.cli.confirm import count
from covergen.cli.help_sections import ADVANCED, SECTIONS, SectionedCommand
from covergen.cli.job_runner import run_job
from covergen.cli.model_options import engine_options, paint_options
from covergen.cli.options import (
    console_options,
    hardlinks_option,
    min_age_option,
    output_option,
    place_options,
    plan_options,
    seed_option,
    size_option,
    written_plan,
)
from covergen.cli.output.lines import shown
from covergen.cli.value_types import WholeNumber
from covergen.core.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.pipeline.options import (
        PaintOptions,
        PlanOptions,
        PreviewOptions,
        RayOptions,
        WriteOptions,
    )

    Command = TypeVar("Command", bound=Callable[..., Any])


# Parameters that a preview's origin does not record: the record has the paths on its own, and a
# retry may print other things and compute elsewhere.
_NOT_RECORDED = frozenset({
    "paths", "output", "retry", "quiet", "verbose", "as_json",
    "device", "dtype", "batch_size", "jobs", "engine", "ray_address", "path_map",
})  # fmt: skip


def review_options(*, hidden: bool = False) -> Callable[[Command], Command]:
    """Return a decorator that adds the options that only a preview has."""

    def decorate(command: Command) -> Command:
        for option in (
            click.option(
                "--no-audio", is_flag=True, hidden=hidden, help="Do not add audio excerpts."
            ),
            click.option(
                "--retry",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="FILE",
                hidden=hidden,
                help="Repaint the albums marked in a choices.json, by default with the same PATH"
                " and options.",
            ),
            click.option(
                "--candidates",
                type=WholeNumber(1, 16),
                default=1,
                hidden=hidden,
                help="Covers per album.",
            ),
        ):
            command = option(command)
        return command

    return decorate


class _PreviewCommand(SectionedCommand):
    """A command that takes what its command line leaves out from the preview to be retried."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. Raises UsageError if the preview to be retried is unknown."""
        if ctx.params["retry"]:
            take_from_origin(ctx)
        return super().invoke(ctx)


@click.command(
    cls=_PreviewCommand,
    sections={
        **SECTIONS,
        "Files": (),
        ADVANCED: (*SECTIONS[ADVANCED], *SECTIONS["Files"]),
    },
)
@plan_options
@output_option("Output folder; an earlier preview is continued.")
@review_options()
@seed_option
@size_option
@paint_options
@engine_options
@place_options
@hardlinks_option
@min_age_option
@console_options
@click.pass_context
def preview(
    ctx: click.Context,
    *,
    plan: PlanOptions,
    output: Path,
    candidates: int,
    retry: Path | None,
    no_audio: bool,
    seed: int,
    size: int | None,
    paint: PaintOptions,
    ray: RayOptions | None,
    place: WriteOptions,
    hardlinks: Literal["skip", "break"],
    min_age: int,
    console: ConsoleOptions,
) -> None:
    """Paint covers for the albums below PATH into DIR, with a page to choose from.

    No music file is changed: `covergen apply DIR` writes the covers.
    """
    from covergen.library.writing.rewrite import RewriteOptions
    from covergen.pipeline.options import PreviewOptions, TagOptions
    from covergen.preview.album_entry import plain

    rewrite = RewriteOptions(hardlinks=hardlinks, min_age_seconds=min_age)
    plan = written_plan(plan, replace(place, rewrite=rewrite))
    options = PreviewOptions(
        tag=TagOptions(
            plan=replace(plan, paths=tuple(map(plain, plan.paths))),
            paint=replace(paint, size=paint.size or size, ray=ray),
            seed=seed,
        ),
        folder=output,
        candidates=candidates,
        audio=not no_audio,
        retry=retry,
        command=origin_options(ctx.params),
    )
    _run(options, console)


def _run(options: PreviewOptions, console: ConsoleOptions) -> None:
    from covergen.jobs.preview import preview as paint_preview
    from covergen.pipeline.load_model import check_model
    from covergen.pipeline.plan_library import planned
    from covergen.preview.folder import check_preview

    is_resumed = check_preview(options)
    renderer = console.renderer()
    if options.retry:
        check_model(options.tag.paint)
    else:
        totals = count(partial(planned, options.tag.plan), console, show=False)
        if totals.covers:
            check_model(options.tag.paint)
        if not is_resumed:
            renderer.tracks, renderer.albums = totals.tracks_to_embed, totals.covers
    try:
        run_job(partial(paint_preview, options), renderer)
    except (click.exceptions.Exit, Interrupted):
        _show_next_step(options, console)
        raise
    _show_next_step(options, console)


def _show_next_step(options: PreviewOptions, console: ConsoleOptions) -> None:
    if console.quiet:
        return
    page = shown(options.folder / "index.html")
    command = shown(f"covergen apply {shlex.quote(str(options.folder))}")
    if options.retry:
        text = f"review {page} and save the choices again, then: {command} --choices FILE"
    else:
        text = f"open {page}, then: {command}"
    click.echo(f"Next: {text}", err=True)


def origin_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters to record, which decide what is painted and how. JSON values."""
    return {name: params[name] for name in params if name not in _NOT_RECORDED}


def take_from_origin(ctx: click.Context) -> None:
    """Set the parameters that are not on the command line to those the preview was made with.

    Raises UsageError if there is no preview, or no record of its paths on this machine.
    """
    from covergen.preview.manifest import Manifest
    from covergen.preview.origins import recall_origin

    folder: Path = ctx.params["output"]
    with closing(Manifest(folder)) as plan:
        origin = recall_origin(plan.header.preview)
    if origin is not None:
        ctx.params["paths"] = ctx.params["paths"] or origin.paths
        for name in origin_options(ctx.params).keys() & origin.options.keys():
            if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
                value = origin.options[name]
                ctx.params[name] = tuple(value) if isinstance(value, list) else value
    elif not ctx.params["paths"]:
        raise UsageError(
            f"There is no record on this machine of the library behind {folder}.",
            hint="Add the PATHs and options that the preview was created with.",
        )


def run_as_preview(ctx: click.Context) -> None:
    """Run `covergen preview` with the parameters of `covergen tag --dry-run --preview`."""
    with click.Context(preview, info_name=preview.name, parent=ctx.parent) as child:
        for name in (str(param.name) for param in preview.params if param.expose_value):
            of_tag = "preview" if name == "output" else name
            child.params[name] = ctx.params[of_tag]
            if source := ctx.get_parameter_source(of_tag):
                child.set_parameter_source(name, source)
        preview.invoke(child)
