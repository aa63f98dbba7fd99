"""`covergen dataset`: create and check pairs of music and covers for training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.commands.dataset_jamendo import from_jamendo
from covergen.cli.confirm import count, show_totals
from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.options import (
    console_options,
    cover_names_option,
    dry_run_option,
    jobs_option,
    json_option,
    quiet_option,
    scan_options,
)
from covergen.cli.output import jsonl, lines
from covergen.cli.output.bars import aside, bar
from covergen.cli.value_types import WholeNumber
from covergen.core.errors import UsageError, WriteError
from covergen.pipeline.events import TrackEmbedded

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.datasets.examine import Examined, Health
    from covergen.datasets.folder import Dataset, Problem
    from covergen.jobs.dataset.from_library import CollectOptions
    from covergen.library.scanning.scan import ScanOptions
    from covergen.pipeline.totals import PlanTotals


_EXPECTED = (
    "A pair is an audio file and a picture with the same name, in the same folder or in its"
    " subfolders audio_snippets and cover_images.\nTo create pairs from a music library:"
    " covergen dataset from-library {folder} DIR"
)
_WINDOW_SECONDS = 10  # as in covergen.audio.windows, which imports FFmpeg


@click.group()
def dataset() -> None:
    """Create and check datasets for training."""


dataset.add_command(from_jamendo)


@dataset.command("from-library", short_help="Create a dataset from your own library.")
@click.argument(  # not required: with one argument, Click would report PATH as missing, not DIR
    "paths", metavar="PATH...", nargs=-1, type=click.Path(exists=True, path_type=Path)
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@dry_run_option
@click.option(
    "--seconds",
    type=WholeNumber(_WINDOW_SECONDS, 600),
    default=30,
    help="Length of the excerpts, made of 10 s windows spread over the track.",
)
@click.option(
    "--per-album",
    type=WholeNumber(1),
    default=3,
    help="Maximum number of tracks per album, spread over the album.",
)
@click.option("--include-painted", is_flag=True, help="Include covers painted by covergen.")
@scan_options
@cover_names_option
@jobs_option
@console_options
def from_library(
    *,
    paths: tuple[Path, ...],
    folder: Path,
    dry_run: bool,
    seconds: int,
    per_album: int,
    include_painted: bool,
    scan: ScanOptions,
    cover_names: tuple[str, ...],
    jobs: int,
    console: ConsoleOptions,
) -> None:
    """Create pairs in DIR from the covers and tracks below PATH, which are not changed.

    An excerpt consists of the windows that covergen would embed. Existing pairs are kept: run the
    command again to add new ones.
    """
    from covergen.datasets.album_pairs import Selection
    from covergen.jobs.dataset.from_library import CollectOptions, preview_collection

    if not paths:
        raise click.UsageError("Both the music and the dataset folder are required: PATH... DIR.")
    if seconds % _WINDOW_SECONDS:
        raise UsageError("--seconds must be a multiple of 10.")
    collect_options = CollectOptions(
        paths=paths,
        folder=folder,
        selection=Selection(
            per_album=per_album,
            windows=seconds // _WINDOW_SECONDS,
            include_painted=include_painted,
        ),
        scan=replace(scan, cover_names=cover_names),
        workers=jobs,
    )
    totals = count(partial(preview_collection, collect_options), console, show=dry_run)
    if dry_run:
        pairs = f"{lines.counted(totals.targets, 'pair')} would be made."
        show_totals(totals, [*lines.totals_lines(totals), pairs], console)
    else:
        _collect(collect_options, totals, console)


def _collect(collect_options: CollectOptions, totals: PlanTotals, console: ConsoleOptions) -> None:
    from covergen.jobs.dataset.from_library import collect

    with bar("created", "track", total=totals.targets, hidden=console.quiet) as progress:
        run_job(
            partial(collect, collect_options),
            console.renderer(),
            promise="the pairs collected so far are kept",
            on_event=lambda event: progress.update(isinstance(event, TrackEmbedded)),
        )
    if totals.targets and not console.quiet:
        command = ["covergen", "dataset", "check", lines.shown(collect_options.folder)]
        click.echo(f"Next: {shlex.join(command)}", err=True)


@dataset.command("check", short_help="Check whether a dataset is fit for training.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--sheet",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG file for a contact sheet with one cover per album."
    "  [default: DIR/covergen-sheet.png]",
)
@click.option("--no-sheet", is_flag=True, help="Do not write a contact sheet.")
@jobs_option
@quiet_option
@json_option
def check(
    *, folder: Path, sheet: Path | None, no_sheet: bool, jobs: int, quiet: bool, as_json: bool
) -> None:
    """Decode every file in DIR and report problems.

    DIR contains the folders audio_snippets, cover_images and audio_embeddings, or all files side by
    side. Files with the same name except for the extension form a pair. Exits with 1 if the dataset
    cannot be used for training.
    """
    from covergen.datasets.folder import Problem, read_dataset
    from covergen.jobs.dataset.check import check_dataset

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UsageError(f"{sheet}: a contact sheet must be a .png file.")
    found = read_dataset(folder)
    with (
        bar("checked", "pair", total=len(found.pairs), hidden=quiet) as progress,
        interruptible("nothing is being written") as check_interrupted,
    ):

        def report(item: Examined | Problem) -> None:
            progress.update(not isinstance(item, Problem))
            for problem in (item,) if isinstance(item, Problem) else item.problems:
                with aside():
                    _print_problem(problem, quiet=quiet, as_json=as_json)

        health = check_dataset(found, report, check_interrupted, workers=jobs)
    sheets = () if no_sheet else _save_sheets(found, sheet)
    if as_json:
        click.echo(jsonl.dumps("summary", _health_object(health, sheets)))
    else:
        for line in (*_health_lines(health), *(f"Covers  {lines.shown(path)}" for path in sheets)):
            click.echo(line)
    if health.obstacle:
        click.echo(f"The dataset cannot be trained on: {health.obstacle}.", err=True)
        if not health.pairs:
            click.echo(_EXPECTED.format(folder=lines.shown(folder)), err=True)
        click.get_current_context().exit(1)
    if not quiet:
        command = shlex.join(["covergen", "finetune", lines.shown(folder)])
        click.echo(f"Next: {command}", err=True)


def _print_problem(problem: Problem, *, quiet: bool, as_json: bool) -> None:
    from covergen.datasets.examine import REMARKS

    remark = problem.reason in REMARKS
    if as_json:
        value = {
            "path": str(problem.path),
            "severity": "remark" if remark else "fault",
            "reason": problem.reason.value,
            "message": problem.message,
        }
        click.echo(jsonl.dumps("problem", value))
    elif not (remark and quiet):
        word = click.style("remark" if remark else "fault ", fg="yellow" if remark else "red")
        text = problem.message or lines.reason_text(problem.reason)
        path = lines.shown(problem.path)
        click.echo(f"{word}  {problem.reason.value:<14}{path}: {lines.shown(text)}")


def _save_sheets(found: Dataset, sheet: Path | None) -> tuple[Path, ...]:
    """Write the contact sheets. Without --sheet, a folder that is not writable is not an error."""
    from covergen.datasets.folder import SHEET_NAME
    from covergen.jobs.dataset.check import save_pictures

    if not found.pairs:
        return ()
    try:
        return save_pictures(found, sheet or found.folder / SHEET_NAME)
    except WriteError as error:
        if sheet is not None:
            raise
        click.echo(f"No contact sheet was written: {lines.shown(str(error))}", err=True)
        return ()


def _health_lines(health: Health) -> Iterator[str]:
    from covergen.datasets.examine import REMARKS

    yield (
        f"{health.usable:,} of {lines.counted(health.pairs, 'pair')} usable:"
        f" {health.with_audio:,} with audio, {health.with_embedding:,} with an embedding."
    )
    if health.with_caption:
        yield f"{health.with_caption:,} with a caption: finetune also trains on the words."
    yield (
        f"{lines.counted(len(health.albums), 'album')} with"
        f" {lines.counted(len(health.pictures), 'different cover')};"
        " validation holds out whole albums."
    )
    for reason, number in sorted(health.problems.items()):
        word = "remark" if reason in REMARKS else "fault"
        yield f"{word:<8}{number:>8,}  {lines.reason_text(reason, number)}"


def _health_object(health: Health, sheets: tuple[Path, ...]) -> dict[str, Any]:
    return {
        "pairs": health.pairs,
        "usable": health.usable,
        "with_audio": health.with_audio,
        "with_embedding": health.with_embedding,
        "with_caption": health.with_caption,
        "albums": len(health.albums),
        "covers": len(health.pictures),
        "problems": [
            {"reason": reason.value, "count": number}
            for reason, number in sorted(health.problems.items())
        ],
        "trainable": not health.obstacle,
        "obstacle": health.obstacle,
        "sheets": [str(path) for path in sheets],
    }
