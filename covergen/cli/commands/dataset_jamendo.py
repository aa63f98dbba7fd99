"""`covergen dataset from-jamendo`: create pairs from Creative Commons music on Jamendo."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from covergen.cli.interrupt import interruptible
from covergen.cli.job_runner import run_job
from covergen.cli.option_group import option_group
from covergen.cli.options import console_options
from covergen.cli.output import jsonl, lines
from covergen.cli.output.bars import aside, bar
from covergen.cli.value_types import Number, WholeNumber
from covergen.core.errors import DownloadError, UsageError
from covergen.datasets.jamendo.licenses import ADAPTABLE, LICENSES
from covergen.datasets.jamendo.query import IMAGE_SIZES, ORDERS
from covergen.pipeline.events import AlbumDone, Event, Waiting

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.jobs.dataset.from_jamendo import Forecast, JamendoOptions


_VARIABLES = ("JAMENDO_CLIENT_ID", "JAMENDO_API_KEY")
_DOT_ENV = Path(".env")  # in the working directory
_PARTS = {"albumtrack": "albums", "single": "singles"}
_MIN_REPORTED_WAIT_SECONDS = 5
# NAME=VALUE on one line, optionally with quotes, a leading "export" or a trailing comment.
_ASSIGNMENT = re.compile(
    r"""^\s*(?:export\s+)?(?P<name>\w+)[ \t]*=[ \t]*"""
    r"""(?:(?P<mark>["'])(?P<quoted>.*?)(?P=mark)|(?P<plain>[^\s#]*))[ \t]*(?:\#.*)?$""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """The defaults of options, as in their help."""

    order: str
    image_size: int
    rate: float
    since: date | None = None
    until: date | None = None


_RECIPES = {
    "default": _Recipe(order="id", image_size=max(IMAGE_SIZES), rate=2.0),
    "reference": _Recipe(  # as in art-from-audio's jamendo_collector.py
        order="popularity_total",
        image_size=300,
        rate=1.0,
        since=date(2000, 1, 1),
        until=date(2024, 12, 31),
    ),
}


def _day(text: str | date) -> date:
    """Parse a date from the command line or config.toml, which has a type for dates."""
    try:
        return text if isinstance(text, date) else date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a date such as 2024-12-31.") from error


@option_group("jamendo")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--pairs",
    type=WholeNumber(1),
    default=250,
    help="Total number of pairs from Jamendo in DIR, including existing ones.",
)
@click.option(
    "--recipe",
    type=click.Choice(list(_RECIPES)),
    default="default",
    help="Preset; reference: as in art-from-audio's collector. Explicit options override this.",
)
@click.option(
    "--client-id",
    is_eager=True,  # which excludes it from config.toml, since it is a secret
    metavar="ID",
    help="Client ID of your Jamendo application, from devportal.jamendo.com.  [env var:"
    " JAMENDO_CLIENT_ID or JAMENDO_API_KEY, also in ./.env]",
)
@click.option(
    "--license",
    "licenses",
    type=click.Choice(LICENSES),
    multiple=True,
    default=ADAPTABLE,
    show_default="the first four, which allow derivative works",
    help="Creative Commons license to accept. Repeatable.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Only music with this genre, instrument or mood. Repeatable: all must match.",
)
@click.option(
    "--any-tag",
    "any_tags",
    metavar="TAG",
    multiple=True,
    help="Only music with at least one of these tags, or similar ones. Repeatable.",
)
@click.option(
    "--since",
    type=_day,
    metavar="DATE",
    help="Only music released on or after this date.  [default: any; reference: 2000-01-01]",
)
@click.option(
    "--until",
    type=_day,
    metavar="DATE",
    help="Only music released on or before this date.  [default: any; reference: 2024-12-31]",
)
@click.option(
    "--order",
    type=click.Choice(tuple(ORDERS)),
    help="Sort order. Only `id` is stable while pages are read.  [default: id; reference:"
    " popularity_total]",
)
@click.option(
    "--seconds",
    type=WholeNumber(10, 600),
    default=30,
    help="Length of the excerpts, from the middle of each track.",
)
@click.option(
    "--image-size",
    type=click.Choice(IMAGE_SIZES),
    metavar="N",
    help="Width and height of the covers in pixels, 25 to 600.  [default: 600; reference: 300]",
)
@click.option(
    "--rate",
    type=Number(0.01, 10),
    help="Maximum number of requests per second.  [default: 2; reference: 1]",
)
@click.option("--base-url", is_eager=True, hidden=True, help="URL of another server, for tests.")
def _jamendo_options(
    *,
    folder: Path,
    pairs: int,
    recipe: str,
    client_id: str | None,
    licenses: tuple[str, ...],
    tags: tuple[str, ...],
    any_tags: tuple[str, ...],
    since: date | None,
    until: date | None,
    order: str | None,
    seconds: int,
    image_size: int | None,
    rate: float | None,
    base_url: str | None,
) -> JamendoOptions:
    """What to collect. Raises UsageError for dates in the wrong order and for no client ID."""
    from covergen.datasets.jamendo.catalog import BASE_URL, Account
    from covergen.datasets.jamendo.fetch import Patience
    from covergen.datasets.jamendo.query import Query
    from covergen.jobs.dataset.from_jamendo import JamendoOptions

    defaults = _RECIPES[recipe]
    since, until = since or defaults.since, until or defaults.until
    if since and until and since > until:
        raise UsageError(f"--since {since} is later than --until {until}.")
    return JamendoOptions(
        folder=folder,
        account=Account(client_id=_client_id(client_id), base_url=base_url or BASE_URL),
        query=Query(
            licenses=licenses,
            tags=tags,
            any_tags=any_tags,
            since=since,
            until=until,
            order=order or defaults.order,
            image_size=image_size or defaults.image_size,
        ),
        pairs=pairs,
        seconds=seconds,
        patience=Patience(rate=rate or defaults.rate),
    )


@click.command("from-jamendo", short_help="Create a dataset from Creative Commons music.")
@_jamendo_options
@click.option("-n", "--dry-run", is_flag=True, help="Print what is available; download nothing.")
@console_options
def from_jamendo(*, jamendo: JamendoOptions, dry_run: bool, console: ConsoleOptions) -> None:
    """Create pairs in DIR of covers and excerpts from Jamendo, one per album or single.

    Existing pairs are not downloaded again: run the same command to continue an earlier one.
    metadata.csv lists the license and author of each pair. Jamendo allows 35,000 requests per
    month; a pair takes two requests, and 200 entries of the catalog take one.
    """
    from covergen.jobs.dataset.from_jamendo import pairs_there

    existing = pairs_there(jamendo.folder)
    if dry_run:
        _preview(jamendo, existing, console)
    elif existing < jamendo.pairs:
        _collect(jamendo, existing, console)
    else:
        if console.as_json:
            nothing = console.renderer().tally
            click.echo(jsonl.dumps("summary", jsonl.run_summary(nothing, interrupted=False)))
        if not console.quiet:
            pairs = lines.counted(existing, "pair")
            folder = lines.shown(jamendo.folder)
            click.echo(f"{folder} already has {pairs} from Jamendo.", err=True)


def _client_id(option: str | None) -> str:
    """Return the client ID. Not left to Click: `covergen config` would print the variable."""
    for variables in (os.environ, _dot_env()):
        for value in (option, *map(variables.get, _VARIABLES)):
            if value and value.strip():
                return value.strip()
    raise UsageError(
        "Jamendo requires a client ID.",
        hint="Get one for free at https://devportal.jamendo.com, then set JAMENDO_CLIENT_ID in the"
        " environment or in a .env file here, or pass it with --client-id.",
    )


def _dot_env() -> dict[str, str]:
    """Return the variables in the working directory's .env file; empty if it cannot be read."""
    try:
        text = _DOT_ENV.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return {}
    return {
        found["name"]: found["quoted"] or found["plain"] or ""
        for found in _ASSIGNMENT.finditer(text)
    }


def _collect(jamendo: JamendoOptions, existing: int, console: ConsoleOptions) -> None:
    from covergen.jobs.dataset.from_jamendo import collect_from_jamendo, pairs_there

    quiet = console.quiet
    with bar("collected", "pair", total=jamendo.pairs - existing, hidden=quiet) as progress:

        def show(event: Event) -> None:
            match event:
                case AlbumDone(result="collected"):
                    progress.update()
                case Waiting() if not quiet:
                    _show_wait(event)

        job = partial(collect_from_jamendo, jamendo)
        promise = "the pairs collected so far are kept"
        try:
            run_job(job, console.renderer(), promise=promise, on_event=show)
        except DownloadError:
            if pairs_there(jamendo.folder) > existing:
                click.echo("The pairs downloaded so far are kept.", err=True)
            raise
    pairs = pairs_there(jamendo.folder)
    if pairs < jamendo.pairs:
        click.echo(f"Jamendo has no more matching music. Pairs: {pairs:,}.", err=True)
    if not quiet:
        click.echo(f"Next: covergen dataset check {lines.shown(jamendo.folder)}", err=True)


def _show_wait(wait: Waiting) -> None:
    if wait.seconds >= _MIN_REPORTED_WAIT_SECONDS:
        with aside():
            click.echo(
                f"Waiting {lines.duration(wait.seconds)}: {lines.shown(wait.why)}.", err=True
            )


def _preview(jamendo: JamendoOptions, existing: int, console: ConsoleOptions) -> None:
    from covergen.jobs.dataset.from_jamendo import preview_jamendo

    def report(event: Event) -> None:
        if isinstance(event, Waiting) and not console.quiet:
            _show_wait(event)

    with interruptible("nothing is being written") as check_interrupted:
        for forecast in preview_jamendo(jamendo, report, check_interrupted):
            if console.as_json:
                click.echo(jsonl.dumps("search", _forecast_object(forecast)))
            else:
                for line in _forecast_lines(forecast, jamendo.account.base_url):
                    click.echo(line)
    if console.as_json:
        click.echo(jsonl.dumps("summary", {"wanted": jamendo.pairs, "there": existing}))
    else:
        click.echo(f"\n{existing:,} of {jamendo.pairs:,} pairs exist.")


def _forecast_lines(forecast: Forecast, base_url: str) -> Iterator[str]:
    found = "some" if forecast.total is None else f"{forecast.total:,}"
    checked = forecast.usable + sum(forecast.reasons.values())
    yield f"{_PARTS[forecast.parameters['type']]:<10}{found} on Jamendo; of the first {checked}:"
    yield f"  {'collect':<10}{forecast.usable:>6,}"
    for reason, number in sorted(forecast.reasons.items()):
        yield f"  {'skip':<10}{number:>6,}  {lines.reason_text(reason)}"
    yield f"  request   {base_url}/tracks/?{urlencode(forecast.parameters)}"


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
