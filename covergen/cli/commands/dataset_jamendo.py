"""`covergen dataset from-jamendo`: pairs from a catalogue of Creative Commons music."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.numbers import Number, WholeNumber
from covergen.cli.options import json_option, output_choice, quiet_option, verbose_option
from covergen.cli.output import jsonl
from covergen.cli.output import text as lines
from covergen.cli.output.bars import aside, bar
from covergen.core.errors import DownloadError, UsageError
from covergen.datasets.jamendo.licences import ADAPTABLE, LICENCES
from covergen.datasets.jamendo.query import IMAGE_SIZES, ORDERS
from covergen.pipeline.events import AlbumDone, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.jobs.dataset.from_jamendo import Forecast, JamendoOptions
    from covergen.pipeline.events import Checkpoint, Emit, Event

__all__ = ["from_jamendo"]

_VARIABLES = ("JAMENDO_CLIENT_ID", "JAMENDO_API_KEY")
_DOT_ENV = Path(".env")  # of the working folder
_RECIPES: dict[str, dict[str, Any]] = {
    "default": {"order": "id", "image_size": max(IMAGE_SIZES), "rate": 2.0},
    # As art-from-audio's jamendo_collector.py has it.
    "reference": {
        "order": "popularity_total",
        "since": date(2000, 1, 1),
        "until": date(2024, 12, 31),
        "image_size": 300,
        "rate": 1.0,
    },
}
_PARTS = {"albumtrack": "albums", "single": "singles"}
_WORTH_TELLING_SECONDS = 5
# NAME=VALUE on a line of its own, with or without quotes, an "export" or a comment behind it.
_SET = re.compile(
    r"""^\s*(?:export\s+)?(?P<name>\w+)[ \t]*=[ \t]*"""
    r"""(?:(?P<mark>["'])(?P<quoted>.*?)(?P=mark)|(?P<plain>[^\s#]*))[ \t]*(?:\#.*)?$""",
    re.MULTILINE,
)


def _day(text: str | date) -> date:
    """A day as the command line or config.toml, which has dates, gives it."""
    try:
        return text if isinstance(text, date) else date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a date such as 2024-12-31.") from error


@click.command("from-jamendo", short_help="Make a dataset of Creative Commons music.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--pairs",
    type=WholeNumber(1),
    default=250,
    show_default=True,
    metavar="N",
    help="Pairs from Jamendo that DIR has at the end, those that are there included.",
)
@click.option(
    "--recipe",
    type=click.Choice(list(_RECIPES)),
    default="default",
    show_default=True,
    help="reference: what art-from-audio's collector asks for, unless other options say otherwise.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Ask what there is; collect nothing.")
@click.option(
    "--client-id",
    is_eager=True,  # so it is no setting: a key has no place in config.toml
    metavar="ID",
    help="Your application's, from devportal.jamendo.com.  [env var: JAMENDO_CLIENT_ID or"
    " JAMENDO_API_KEY, also in ./.env]",
)
@click.option(
    "--licence",
    type=click.Choice(LICENCES),
    multiple=True,
    default=ADAPTABLE,
    show_default="all that permit derived works: the first four",
    help="A Creative Commons licence that is welcome. Repeatable.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Only music with this genre, instrument or mood. Repeatable: with all of them.",
)
@click.option(
    "--any-tag",
    "any_tags",
    metavar="TAG",
    multiple=True,
    help="Only music with one of these, or something like it. Repeatable.",
)
@click.option(
    "--since",
    type=_day,
    metavar="DATE",
    help="Only music released from this day on.  [default: any; reference: 2000-01-01]",
)
@click.option(
    "--until",
    type=_day,
    metavar="DATE",
    help="Only music released until this day.  [default: any; reference: 2024-12-31]",
)
@click.option(
    "--order",
    type=click.Choice(tuple(ORDERS)),
    help="What comes first. Only that of ids never changes while it is read.  [default: id;"
    " reference: popularity_total]",
)
@click.option(
    "--seconds",
    type=WholeNumber(10, 600),
    default=30,
    show_default=True,
    metavar="N",
    help="Sound kept of each track, from its middle.",
)
@click.option(
    "--image-size",
    type=click.Choice(IMAGE_SIZES),
    metavar="N",
    help="Side of the covers in pixels, 25 to 600.  [default: 600; reference: 300]",
)
@click.option(
    "--rate",
    type=Number(0.01, 10),
    metavar="X",
    help="Most requests a second.  [default: 2; reference: 1]",
)
@click.option("--base-url", is_eager=True, hidden=True, help="Another server, for tests.")
@quiet_option
@verbose_option
@json_option
def from_jamendo(folder: Path, **options: Any) -> None:
    """Make pairs in DIR of covers and excerpts from Jamendo, one for each album or single.

    Pairs that are there are not fetched again: the same command goes on where another stopped.
    metadata.csv names the licence and the author of each. Jamendo allows 35,000 requests a month;
    a pair takes two, and a page of 200 of its catalogue one.
    """
    from covergen.jobs.dataset.from_jamendo import pairs_there

    given = {name: value for name, value in options.items() if value is not None}
    jamendo = _jamendo_options(folder, options | _RECIPES[options["recipe"]] | given)
    there = pairs_there(folder)
    if options["dry_run"]:
        _preview(jamendo, there, options)
    elif there < jamendo.pairs:
        _collect(jamendo, there, options)
    else:
        if options["as_json"]:
            nothing = output_choice(options).tally
            click.echo(jsonl.dumps("summary", jsonl.run_summary(nothing, interrupted=False)))
        if not options["quiet"]:
            pairs = lines.counted(there, "pair")
            click.echo(f"{lines.shown(folder)} has {pairs} from Jamendo already.", err=True)


def _jamendo_options(folder: Path, options: dict[str, Any]) -> JamendoOptions:
    from covergen.datasets.jamendo.catalogue import BASE_URL, Account
    from covergen.datasets.jamendo.fetch import Patience
    from covergen.datasets.jamendo.query import Query
    from covergen.jobs.dataset.from_jamendo import JamendoOptions

    since, until = options["since"], options["until"]
    if since and until and since > until:
        raise UsageError(f"--since {since} is later than --until {until}.")
    return JamendoOptions(
        folder=folder,
        account=Account(
            client_id=_client_id(options["client_id"]), base_url=options["base_url"] or BASE_URL
        ),
        query=Query(
            licences=options["licence"],
            tags=options["tags"],
            any_tags=options["any_tags"],
            since=since,
            until=until,
            order=options["order"],
            image_size=options["image_size"],
        ),
        pairs=options["pairs"],
        seconds=options["seconds"],
        patience=Patience(rate=options["rate"]),
    )


def _client_id(option: str | None) -> str:
    """Not left to Click, which would let `covergen config` print the environment's."""
    for places in (os.environ, _dot_env()):
        for value in (option, *map(places.get, _VARIABLES)):
            if value and value.strip():
                return value.strip()
    raise UsageError(
        "Jamendo answers only who has a client id.",
        hint="Get one for nothing at https://devportal.jamendo.com, and set JAMENDO_CLIENT_ID"
        " to it, in the environment or in a file .env here, or give it with --client-id.",
    )


def _dot_env() -> dict[str, str]:
    """The variables that the working folder's .env sets, as far as it can be read."""
    try:
        text = _DOT_ENV.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return {}
    return {found["name"]: found["quoted"] or found["plain"] or "" for found in _SET.finditer(text)}


def _collect(jamendo: JamendoOptions, there: int, options: dict[str, Any]) -> None:
    from covergen.jobs.dataset.from_jamendo import collect_from_jamendo, pairs_there

    quiet = options["quiet"]
    with bar("collected", "pair", total=jamendo.pairs - there, hidden=quiet) as shown:

        def job(emit: Emit, checkpoint: Checkpoint) -> None:
            def told(event: Event) -> None:
                emit(event)
                match event:
                    case AlbumDone(result="collected"):
                        shown.update()
                    case Waiting() if not quiet:
                        _tell_wait(event)

            collect_from_jamendo(jamendo, told, checkpoint)

        try:
            run_job(job, output_choice(options))
        except DownloadError:
            if pairs_there(jamendo.folder) > there:
                click.echo("What has arrived is kept.", err=True)
            raise
    now = pairs_there(jamendo.folder)
    if now < jamendo.pairs:
        click.echo(f"Jamendo has no more such music; pairs there: {now:,}.", err=True)
    if not quiet:
        click.echo(f"Next: covergen dataset check {lines.shown(jamendo.folder)}", err=True)


def _tell_wait(wait: Waiting) -> None:
    if wait.seconds >= _WORTH_TELLING_SECONDS:
        with aside():
            click.echo(
                f"Waiting {lines.duration(wait.seconds)}: {lines.shown(wait.why)}.", err=True
            )


def _preview(jamendo: JamendoOptions, there: int, options: dict[str, Any]) -> None:
    from covergen.jobs.dataset.from_jamendo import preview_jamendo

    def told(event: Event) -> None:
        if isinstance(event, Waiting) and not options["quiet"]:
            _tell_wait(event)

    with interruptible() as checkpoint:
        for forecast in preview_jamendo(jamendo, told, checkpoint):
            if options["as_json"]:
                click.echo(jsonl.dumps("search", _forecast_object(forecast)))
            else:
                for line in _forecast_lines(forecast, jamendo.account.base_url):
                    click.echo(line)
    if options["as_json"]:
        click.echo(jsonl.dumps("summary", {"wanted": jamendo.pairs, "there": there}))
    else:
        click.echo(f"\n{there:,} of {jamendo.pairs:,} pairs are there.")


def _forecast_lines(forecast: Forecast, base_url: str) -> Iterator[str]:
    found = "some" if forecast.total is None else f"{forecast.total:,}"
    looked_at = forecast.usable + sum(forecast.reasons.values())
    yield f"{_PARTS[forecast.parameters['type']]:<10}{found} on Jamendo; of the first {looked_at}:"
    yield f"  {'collect':<10}{forecast.usable:>6,}"
    for reason, number in sorted(forecast.reasons.items()):
        yield f"  {'skip':<10}{number:>6,}  {reason.text}"
    yield f"  asked     {base_url}/tracks/?{urlencode(forecast.parameters)}"


def _forecast_object(forecast: Forecast) -> dict[str, Any]:
    return {
        "parameters": dict(forecast.parameters),
        "total": forecast.total,
        "usable": forecast.usable,
        "skipped": [
            {"reason": reason.value, "count": number}
            for reason, number in sorted(forecast.reasons.items())
        ],
    }
