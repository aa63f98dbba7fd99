"""`covergen dataset`: pairs of music and covers to train on, made and checked."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.commands.dataset_jamendo import from_jamendo
from covergen.cli.confirm import count, print_totals
from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.numbers import WholeNumber
from covergen.cli.options import (
    cover_names_option,
    jobs_option,
    json_option,
    output_choice,
    quiet_option,
    scan_choice,
    scan_options,
    verbose_option,
)
from covergen.cli.output import jsonl
from covergen.cli.output import text as lines
from covergen.cli.output.bars import aside, bar
from covergen.core.errors import UsageError, WriteError
from covergen.pipeline.events import TrackHeard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.datasets.check import Examined, Health
    from covergen.datasets.folder import Dataset, Problem
    from covergen.jobs.dataset.from_library import CollectOptions
    from covergen.pipeline.events import Checkpoint, Emit, Event, PlanTotals

__all__ = ["dataset"]

_EXPECTED = (
    "A pair is a sound and a picture of the same name in one folder, or in audio_snippets and"
    " cover_images in it.\nTo make pairs of a music library: covergen dataset from-library"
    " {folder} DIR"
)
_WINDOW_SECONDS = 10  # as in covergen.audio.windows, which would cost an import of FFmpeg


@click.group()
def dataset() -> None:
    """Make pairs of music and covers to train on, and check them."""


dataset.add_command(from_jamendo)


@dataset.command("from-library", short_help="Make a dataset of the covers you have.")
@click.argument(  # not required: Click would say that of one argument PATH is missing, not DIR
    "paths", metavar="PATH...", nargs=-1, type=click.Path(exists=True, path_type=Path)
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan; make nothing.")
@click.option(
    "--seconds",
    type=WholeNumber(_WINDOW_SECONDS, 600),
    default=30,
    show_default=True,
    metavar="N",
    help="Sound kept of each track, in stretches of 10 s from all over it.",
)
@click.option(
    "--per-album",
    type=WholeNumber(1),
    default=3,
    show_default=True,
    metavar="N",
    help="Tracks taken of each album, from all over it.",
)
@click.option("--include-painted", is_flag=True, help="Take covers that covergen painted, too.")
@scan_options
@cover_names_option
@jobs_option
@quiet_option
@verbose_option
@json_option
def from_library(paths: tuple[Path, ...], folder: Path, **options: Any) -> None:
    """Make pairs in DIR of the covers and tracks below PATH, which are left alone.

    An excerpt is what covergen hears of a track, stretch after stretch. Pairs that are there
    already stay as they are: run it again for what is new.
    """
    from covergen.datasets.from_library import Selection
    from covergen.jobs.dataset.from_library import CollectOptions, preview_collection

    if not paths:
        raise click.UsageError("Name the music, then the folder of the dataset: PATH... DIR.")
    if options["seconds"] % _WINDOW_SECONDS:
        raise UsageError("--seconds: covergen hears stretches of 10 s; name 10, 20, 30, …")
    collect_options = CollectOptions(
        paths=paths,
        folder=folder,
        selection=Selection(
            per_album=options["per_album"],
            windows=options["seconds"] // _WINDOW_SECONDS,
            include_painted=options["include_painted"],
        ),
        scan=scan_choice(options),
        workers=options["jobs"],
    )
    totals = count(partial(preview_collection, collect_options), options, show=options["dry_run"])
    if options["dry_run"]:
        _show_totals(totals, options)
    else:
        _collect(collect_options, totals, options)


def _show_totals(totals: PlanTotals, options: dict[str, Any]) -> None:
    print_totals(totals, lines.totals_lines(totals), options)
    if not options["as_json"]:
        click.echo(f"{lines.counted(totals.targets, 'pair')} would be made.")
    if totals.is_empty:
        click.echo("No music was found.", err=True)
    if totals.failed:
        click.get_current_context().exit(1)


def _collect(collect_options: CollectOptions, totals: PlanTotals, options: dict[str, Any]) -> None:
    from covergen.jobs.dataset.from_library import collect

    with bar("cut    ", "track", total=totals.targets, hidden=options["quiet"]) as shown:

        def job(emit: Emit, checkpoint: Checkpoint) -> None:
            def counted(event: Event) -> None:
                shown.update(isinstance(event, TrackHeard))
                emit(event)

            collect(collect_options, counted, checkpoint)

        run_job(job, output_choice(options))
    if totals.targets and not options["quiet"]:
        command = ["covergen", "dataset", "check", lines.shown(collect_options.folder)]
        click.echo(f"Next: {shlex.join(command)}", err=True)


@dataset.command("check", short_help="Say whether a dataset can be trained on.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--sheet",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The PNG that shows a cover of each album.  [default: DIR/covergen-sheet.png]",
)
@click.option("--no-sheet", is_flag=True, help="Write no sheet.")
@jobs_option
@quiet_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON Lines: an object for each problem, then a summary.",
)
def check(folder: Path, sheet: Path | None, **options: Any) -> None:
    """Decode all that is in DIR, and say what is the matter with it.

    DIR holds audio_snippets, cover_images and audio_embeddings, or pairs of files side by side;
    what has the same name but for the extension belongs together. Exit code 1: there is nothing
    to be trained on.
    """
    from covergen.datasets.folder import Problem, read_dataset
    from covergen.jobs.dataset.check import check_dataset

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UsageError(f"{sheet}: a sheet is a .png.")
    found = read_dataset(folder)
    with (
        bar("checked", "pair", total=len(found.pairs), hidden=options["quiet"]) as shown,
        interruptible() as checkpoint,
    ):

        def report(item: Examined | Problem) -> None:
            shown.update(not isinstance(item, Problem))
            for problem in (item,) if isinstance(item, Problem) else item.problems:
                with aside():
                    _print_problem(problem, options)

        health = check_dataset(found, report, checkpoint, workers=options["jobs"])
    sheets = () if options["no_sheet"] else _save_sheets(found, sheet)
    if options["as_json"]:
        click.echo(jsonl.dumps("summary", _health_object(health, sheets)))
    else:
        for line in (*_health_lines(health), *(f"Covers  {lines.shown(path)}" for path in sheets)):
            click.echo(line)
    if health.obstacle:
        click.echo(f"It cannot be trained on: {health.obstacle}.", err=True)
        if not health.pairs:
            click.echo(_EXPECTED.format(folder=lines.shown(folder)), err=True)
        click.get_current_context().exit(1)
    if not options["quiet"]:
        click.echo(f"Next: {shlex.join(['covergen', 'finetune', lines.shown(folder)])}", err=True)


def _print_problem(problem: Problem, options: dict[str, Any]) -> None:
    from covergen.datasets.check import REMARKS

    remark = problem.reason in REMARKS
    if options["as_json"]:
        value = {
            "path": str(problem.path),
            "severity": "remark" if remark else "fault",
            "reason": problem.reason.value,
            "message": problem.message,
        }
        click.echo(jsonl.dumps("problem", value))
    elif not (remark and options["quiet"]):
        word = click.style("remark" if remark else "fault ", fg="yellow" if remark else "red")
        text = problem.message or problem.reason.text
        path = lines.shown(problem.path)
        click.echo(f"{word}  {problem.reason.value:<14}{path}: {lines.shown(text)}")


def _save_sheets(found: Dataset, sheet: Path | None) -> tuple[Path, ...]:
    """Where nobody asked for a sheet, a folder that cannot be written to is no failure."""
    from covergen.datasets.folder import SHEET_NAME
    from covergen.jobs.dataset.check import save_pictures

    if not found.pairs:
        return ()
    try:
        return save_pictures(found, sheet or found.folder / SHEET_NAME)
    except WriteError as error:
        if sheet is not None:
            raise
        click.echo(f"There is no sheet of the covers: {lines.shown(str(error))}", err=True)
        return ()


def _health_lines(health: Health) -> Iterator[str]:
    from covergen.datasets.check import REMARKS

    yield (
        f"{health.usable:,} of {lines.counted(health.pairs, 'pair')} are whole:"
        f" {health.with_audio:,} with sound, {health.with_embedding:,} with an embedding."
    )
    yield (
        f"{lines.counted(len(health.albums), 'album')} with"
        f" {lines.counted(len(health.pictures), 'different cover')};"
        " a split keeps what shares an album on one side."
    )
    for reason, number in sorted(health.problems.items()):
        word = "remark" if reason in REMARKS else "fault"
        yield f"{word:<8}{number:>8,}  {reason.text}"


def _health_object(health: Health, sheets: tuple[Path, ...]) -> dict[str, Any]:
    return {
        "pairs": health.pairs,
        "usable": health.usable,
        "with_audio": health.with_audio,
        "with_embedding": health.with_embedding,
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
