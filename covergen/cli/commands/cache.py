"""`covergen cache`: show and prune the data that covergen stores."""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

import click

from covergen.cli.options import json_option, yes_option
from covergen.cli.output import jsonl
from covergen.cli.output.lines import byte_size, counted, shown
from covergen.cli.value_types import WholeNumber
from covergen.core.errors import UsageError
from covergen.jobs.cache import MADE_AGAIN, PRUNED_UNASKED, STORES, stored, stored_models
from covergen.jobs.cache import prune as prune_store

if TYPE_CHECKING:
    from covergen.jobs.cache import Stored


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def cache(ctx: click.Context, *, as_json: bool) -> None:
    """Show the data that covergen stores on this machine: where, how much, and what for.

    Music files are never stored and do not depend on this data.
    """
    if ctx.invoked_subcommand is None:
        for store in chain(stored(), stored_models()):
            if as_json:
                click.echo(jsonl.dumps("store", {**asdict(store), "path": str(store.path)}))
            else:
                _show(store)


def _show(store: Stored) -> None:
    entries = "" if store.entries is None else f"{store.entries:,}"
    size = byte_size(store.size_bytes)
    click.echo(f"{store.name:<12}{entries:>10}  {size:>8}  {shown(store.what)}")
    click.echo(f"{'':<12}{shown(store.path)}")
    if store.fault:
        click.echo(f"{'':<12}{' '.join(shown(store.fault, keep=chr(10)).split())}")


@cache.command("prune", short_help="Delete entries not used for a long time.")
@click.argument("names", metavar="[WHAT]...", nargs=-1, type=click.Choice(list(STORES)))
@click.option(
    "--unused",
    type=WholeNumber(1),
    metavar="DAYS",
    help="Delete entries not used for this long.  [default: half a year to a year]",
)
@click.option("--all", "everything", is_flag=True, help="Delete all entries.")
@yes_option
@json_option
def prune(
    names: tuple[str, ...], unused: int | None, *, everything: bool, yes: bool, as_json: bool
) -> None:
    """Delete entries that have not been used for a long time, or whose files are gone.

    WHAT is embeddings, latents and scans by default, and may also be rates, previews or journal.
    After pruning the journal, only the last run can be undone; with --all, none.
    """
    if everything and unused:
        raise UsageError("--all and --unused cannot be combined.")
    if unused and "journal" in names:
        raise UsageError("--unused does not apply to the journal, which keeps whole runs.")
    names = names or PRUNED_UNASKED
    irreplaceable = sorted(set(names) - set(MADE_AGAIN))
    ask = irreplaceable and not yes and sys.stdin.isatty()
    if ask and not click.confirm(f"Delete {' and '.join(irreplaceable)}?", err=True):
        click.echo("Nothing was deleted.", err=True)
        return
    before = {store.name: store for store in stored()}
    deleted = {name: prune_store(name, unused_days=0 if everything else unused) for name in names}
    after = {store.name: store for store in stored()}
    for name in names:
        freed = max(0, before[name].size_bytes - after[name].size_bytes)
        if as_json:
            value = {"name": name, "entries": deleted[name], "freed_bytes": freed}
            click.echo(jsonl.dumps("pruned", value))
        else:
            click.echo(f"{name:<12}{counted(deleted[name], 'item')}, {byte_size(freed)} freed")
