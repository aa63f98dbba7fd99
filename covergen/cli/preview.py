"""`covergen tag --dry-run --preview DIR`: paint covers to review before anything is written."""

from __future__ import annotations

import shlex
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from covergen.cli.confirm import count
from covergen.cli.job_runner import run_job
from covergen.cli.options import output_choice
from covergen.cli.output.text import shown
from covergen.core.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.pipeline.options import PreviewOptions, TagOptions

__all__ = ["check_preview_use", "recalled", "run_preview"]

# The options that decide which albums are painted, and how. A retry reuses them.
_REMEMBERED = (
    "per", "force", "fill", "limit", "exclude", "follow_symlinks", "cover_names",
    "seed", "candidates", "no_audio",
    "model", "base", "clap", "adapter", "windows", "padding", "lora_rank", "steps", "guidance",
    "scheduler", "guided_from", "guided_until", "reuse", "finish", "inks", "title",
    "purpose", "size", "paint_size", "quality", "styles",
    "sidecar", "sidecar_purpose", "no_embed", "hardlinks", "min_age",
)  # fmt: skip


def check_preview_use(options: dict[str, Any]) -> None:
    """Raise UsageError if the preview options do not go together."""
    if options["preview"] is None:
        for name in ("candidates", "retry", "no_audio"):
            if _source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(f"--{name.replace('_', '-')} requires --preview DIR.")
    elif not options["dry_run"]:
        raise UsageError(
            "--preview requires --dry-run: it changes no music files.",
            hint=f"To write the covers afterwards: covergen apply {_quoted(options['preview'])}",
        )


def recalled(
    paths: tuple[Path, ...], options: dict[str, Any]
) -> tuple[tuple[Path, ...], dict[str, Any]]:
    """Return the paths and options, with those not given taken from the preview.

    Raises UsageError if there is no preview, or no record of its paths on this machine.
    """
    from covergen.preview.manifest import PlanFile
    from covergen.preview.origins import recall_origin

    with closing(PlanFile(options["preview"])) as plan:
        origin = recall_origin(plan.header.preview)
    if origin is None:
        if not paths:
            raise UsageError(
                f"There is no record on this machine of the library behind {options['preview']}.",
                hint="Add the PATHs and options that the preview was created with.",
            )
        return paths, options
    remembered = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in origin.options.items()
        if name in _REMEMBERED and _source(name) is ParameterSource.DEFAULT
    }
    return paths or origin.paths, options | remembered


def run_preview(tag_options: TagOptions, options: dict[str, Any]) -> None:
    """Paint the preview and print the next step, even if interrupted."""
    from covergen.jobs.preview import preview
    from covergen.pipeline.model import check_model
    from covergen.preview.folder import check_preview

    preview_options = _preview_options(tag_options, options)
    is_resumed = check_preview(preview_options)
    renderer = output_choice(options)
    if options["retry"]:
        check_model(tag_options.paint)
    else:
        from covergen.pipeline.planning import planned

        totals = count(partial(planned, preview_options.tag.plan), options, show=False)
        if totals.covers:
            check_model(tag_options.paint)
        if not is_resumed:
            renderer.tracks, renderer.albums = totals.tracks_to_embed, totals.covers
    try:
        run_job(partial(preview, preview_options), renderer)
    except (click.exceptions.Exit, Interrupted):
        _show_next_step(options)
        raise
    _show_next_step(options)


def _preview_options(tag_options: TagOptions, options: dict[str, Any]) -> PreviewOptions:
    from covergen.pipeline.options import PreviewOptions
    from covergen.preview.album_entry import plain

    plan = tag_options.plan
    return PreviewOptions(
        tag=replace(tag_options, plan=replace(plan, paths=tuple(map(plain, plan.paths)))),
        folder=options["preview"],
        candidates=options["candidates"],
        audio=not options["no_audio"],
        retry=options["retry"],
        command={name: options[name] for name in _REMEMBERED},
    )


def _show_next_step(options: dict[str, Any]) -> None:
    folder = options["preview"]
    if options["quiet"]:
        return
    page, command = shown(folder / "index.html"), f"covergen apply {_quoted(folder)}"
    if options["retry"]:
        text = f"review {page} and save the choices again, then: {command} --choices FILE"
    else:
        text = f"open {page}, then: {command}"
    click.echo(f"Next: {text}", err=True)


def _quoted(folder: Path) -> str:
    return shown(shlex.quote(str(folder)))


def _source(name: str) -> ParameterSource | None:
    return click.get_current_context().get_parameter_source(name)
