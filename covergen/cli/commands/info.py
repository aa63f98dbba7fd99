"""`covergen info`: explain a file's cover, or what `tag` would do with an album and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.commands.tag import tag
from covergen.cli.interrupt import interruptible
from covergen.cli.model_options import paint_options
from covergen.cli.options import (
    json_option,
    paths_argument,
    plan_options,
    write_options,
    written_plan,
)
from covergen.cli.output import jsonl
from covergen.cli.output.info_lines import command_words, info_lines, option_words
from covergen.cli.output.renderer import file_line
from covergen.core.album import Outcome, Status
from covergen.core.errors import TagError, UsageError
from covergen.core.reasons import Reason
from covergen.pipeline.events import CheckInterrupted

if TYPE_CHECKING:
    from covergen.jobs.info import AlbumInfo, FileInfo
    from covergen.models.presets import Preset
    from covergen.pipeline.options import PlanOptions
    from covergen.preview.find_cover import PreviewCover
    from covergen.words.vocabulary import Term


@click.command()
@paths_argument
@json_option
def info(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Explain PATH without changing anything.

    For a music file or picture: whether it has a cover, what painted it, and the command that
    paints it again. For a folder: what `covergen tag` would do with each album under your settings,
    why, and what would change that.
    """
    found = failed = False
    with interruptible("nothing is being written") as check_interrupted:
        for item in _infos(paths, check_interrupted):
            found = True
            if isinstance(item, Outcome):
                failed |= item.status is Status.FAILED
                click.echo(file_line(item, as_json=as_json))
            elif as_json:
                click.echo(_json(item))
            else:
                click.echo("\n".join(info_lines(item)) + "\n")
    if not found:
        click.echo("No music found.", err=True)
    if failed:
        click.get_current_context().exit(1)


def _infos(
    paths: tuple[Path, ...], check_interrupted: CheckInterrupted
) -> Iterator[FileInfo | AlbumInfo | Outcome]:
    from covergen.jobs.info import album_infos, file_info
    from covergen.preview.manifest import is_preview

    for path in paths:
        if path.is_dir() and is_preview(path):
            why = "it is a preview: pass its pictures, or write them with `covergen apply`"
            yield Outcome.skipped(path, Reason.IGNORED, why)
            continue
        if path.is_dir():
            plan, preset = _tag_plan(path)
            yield from album_infos(plan, preset, check_interrupted)
            continue
        try:
            yield file_info(path, check_interrupted)
        except TagError as error:
            yield Outcome.of_error(error)


def _tag_plan(path: Path) -> tuple[PlanOptions, Preset | None]:
    """Return the plan and model of `covergen tag PATH` with environment and config.toml.

    The model is None if `tag` could not run with these options.
    """
    root = click.get_current_context().find_root()
    with tag.make_context(tag.name, [str(path.absolute())], parent=root) as ctx:
        plan = written_plan(plan_options.value(ctx.params), write_options.value(ctx.params))
        try:
            return plan, paint_options.value(ctx.params).preset
        except UsageError:
            return plan, None


def _json(item: FileInfo | AlbumInfo) -> str:
    from covergen.jobs.info import FileInfo

    if isinstance(item, FileInfo):
        return jsonl.dumps("cover", _file_object(item))
    return jsonl.dumps("album", _album_object(item))


def _file_object(info: FileInfo) -> dict[str, Any]:
    repaint, run = info.repaint, info.run
    return {
        "path": str(info.path),
        "container": info.track.container if info.track else None,
        "pictures": [asdict(picture) for picture in info.pictures],
        "own": any(picture.own for picture in info.pictures),
        "provenance": asdict(info.provenance) if info.provenance else None,
        "run": {"id": run.id, "action": run.action, "started": run.started} if run else None,
        "command": command_words(repaint) if repaint and repaint.command else None,
        "provisos": list(repaint.provisos) if repaint else [],
        "journal_fault": info.journal_fault,
        "preview": _preview_object(info.preview) if info.preview else None,
    }


def _preview_object(cover: PreviewCover) -> dict[str, Any]:
    return {
        "folder": str(cover.folder),
        "artist": cover.album.artist,
        "title": cover.album.title,
        "date": cover.album.date,
        "number": cover.number,
        "covers": cover.covers,
    }


def _album_object(info: AlbumInfo) -> dict[str, Any]:
    album = info.plan.album
    return {
        **jsonl.plan_object(info.plan),
        "tracks_with_art": sum(track.has_art for track in album.tracks),
        "tracks_with_own_art": sum(track.own_art for track in album.tracks),
        "own_cover_file": info.own_cover_file,
        "words": None if info.words is None else _words(info.words),
        "hindered": [jsonl.file_object(outcome) for outcome in info.plan.hindered],
        "alternatives": [
            {
                "options": " ".join(option_words(other.options)),
                "action": other.plan.action.value,
                "reason": other.plan.reason.value,
                "targets": len(other.plan.targets),
            }
            for other in info.alternatives
        ],
    }


def _words(words: tuple[Term, ...]) -> dict[str, list[str]]:
    """Return the names of words by group."""
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(word.group, []).append(word.name)
    return groups
