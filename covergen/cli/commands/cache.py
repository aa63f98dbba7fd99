"""`covergen cache`: what is stored on this machine, and pruning it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

import click

from covergen.cli.numbers import WholeNumber
from covergen.cli.options import yes_option
from covergen.cli.output import jsonl
from covergen.cli.output.text import byte_size, counted, shown
from covergen.core.errors import UsageError
from covergen.jobs.cache import MADE_AGAIN, PRUNED_UNASKED, STORES, stored, stored_models
from covergen.jobs.cache import prune as prune_store

if TYPE_CHECKING:
    from covergen.jobs.cache import Stored

__all__ = ["cache"]

_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON Lines: an object for each thing stored."
)


@click.group(invoke_without_command=True, short_help="Show and prune what is stored.")
@_json_option
@click.pass_context
def cache(ctx: click.Context, *, as_json: bool) -> None:
    """Show what covergen keeps on this machine: where, how much, and what for.

    None of it is music, and no music depends on it.
    """
    if ctx.invoked_subcommand is None:
        for one in chain(stored(), stored_models()):
            if as_json:
                click.echo(jsonl.dumps("store", {**asdict(one), "path": str(one.path)}))
            else:
                _show(one)


def _show(one: Stored) -> None:
    entries = "" if one.entries is None else f"{one.entries:,}"
    click.echo(f"{one.name:<12}{entries:>10}  {byte_size(one.size_bytes):>8}  {shown(one.what)}")
    click.echo(f"{'':<12}{shown(one.path)}")
    if one.fault:
        click.echo(f"{'':<12}{' '.join(shown(one.fault, keep=chr(10)).split())}")


@cache.command("prune")
@click.argument("names", metavar="[WHAT]...", nargs=-1, type=click.Choice(list(STORES)))
@click.option(
    "--unused",
    type=WholeNumber(1),
    metavar="DAYS",
    help="Throw away what was not used for so long.  [default: half a year to a year]",
)
@click.option("--all", "everything", is_flag=True, help="Throw away all of it.")
@yes_option
@_json_option
def prune(
    names: tuple[str, ...], unused: int | None, *, everything: bool, yes: bool, as_json: bool
) -> None:
    """Throw away what was not used for long, or belongs to files that are gone.

    WHAT: embeddings, latents and scans unless named; else also rates, pending, previews and
    journal. Of the runs in the journal only the last can be undone then, and with --all none.
    """
    if everything and unused:
        raise UsageError("--all leaves nothing for --unused to choose: leave one out.")
    if unused and "journal" in names:
        raise UsageError("The journal keeps whole runs: --unused does not go with it.")
    names = names or PRUNED_UNASKED
    lost = sorted(set(names) - set(MADE_AGAIN))
    ask = lost and not yes and sys.stdin.isatty()
    if ask and not click.confirm(f"Throw away {' and '.join(lost)}?", err=True):
        click.echo("Nothing was thrown away.", err=True)
        return
    before = {one.name: one for one in stored()}
    went = {name: prune_store(name, unused_days=0 if everything else unused) for name in names}
    after = {one.name: one for one in stored()}
    for name in names:
        freed = max(0, before[name].size_bytes - after[name].size_bytes)
        if as_json:
            value = {"name": name, "entries": went[name], "freed_bytes": freed}
            click.echo(jsonl.dumps("pruned", value))
        else:
            click.echo(f"{name:<12}{counted(went[name], 'item')}, {byte_size(freed)} freed")
