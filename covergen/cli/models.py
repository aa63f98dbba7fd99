"""`covergen models`: what can paint, and what of it is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from covergen.cli import jsonl
from covergen.cli.options import json_option, quiet_option

if TYPE_CHECKING:
    from covergen.models.inventory import Part
    from covergen.models.presets import Preset

__all__ = ["models"]


@click.group()
def models() -> None:
    """List, show and fetch the models that can paint."""


@models.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the models: covergen's own and those of your models.toml."""
    from covergen.models.inventory import parts_of
    from covergen.models.presets import load_presets

    for preset in load_presets().values():
        parts = parts_of(preset)
        if as_json:
            click.echo(jsonl.dumps("model", _object(preset, parts)))
        else:
            click.echo(f"{preset.name:<12}{_state(preset, parts):<18}{preset.description}")


@models.command("show")
@click.argument("name")
@json_option
def show_model(name: str, *, as_json: bool) -> None:
    """Show a model: its parts, where they are, and how it samples."""
    from covergen.models.inventory import parts_of
    from covergen.models.presets import find_preset, load_presets

    preset = find_preset(name, load_presets())
    parts = parts_of(preset)
    if as_json:
        click.echo(jsonl.dumps("model", _object(preset, parts)))
        return
    sampling = preset.sampling
    click.echo(f"{preset.name}: {preset.description}")
    for part in parts:
        click.echo(f"  {part.kind:<10}{part.source}")
        place = f"{part.path} ({part.size_bytes / 1e6:.1f} MB)" if part.path else part.missing
        for line in str(place).splitlines():
            click.echo(f"            {line}")
    if preset.adapter is None:
        click.echo("  adapter   none of its own: give one with --adapter FILE")
    click.echo(
        f"  sampling  {sampling.scheduler}, {sampling.steps} steps, guidance {sampling.guidance:g};"
        f" {preset.windows} windows of 10 s a track"
    )
    for label, text in (("licence", preset.licence), ("size", preset.size)):
        if text:
            click.echo(f"  {label:<10}{text}")
    click.echo(f"  defined   {preset.defined_in}")


@models.command("pull")
@click.argument("name")
@quiet_option
def pull_model(name: str, *, quiet: bool) -> None:
    """Fetch the parts of a model that are on the Hugging Face Hub."""
    from covergen.models.inventory import parts_of
    from covergen.models.locate import pull
    from covergen.models.presets import find_preset, load_presets

    preset = find_preset(name, load_presets())
    for part in parts_of(preset):
        path = part.path or pull(part.source, part.kind, progress=not quiet)
        click.echo(f"{part.kind:<10}{path}")


def _state(preset: Preset, parts: tuple[Part, ...]) -> str:
    missing = [part.kind for part in parts if part.path is None]
    if not missing:
        return "ready" if preset.adapter else "needs --adapter"
    return "not here" if len(missing) == len(parts) else f"{' and '.join(missing)} missing"


def _object(preset: Preset, parts: tuple[Part, ...]) -> dict[str, object]:
    return {
        "name": preset.name,
        "description": preset.description,
        "parts": {
            part.kind: {
                "source": part.source,
                "path": str(part.path) if part.path else None,
                "size_bytes": part.size_bytes,
            }
            for part in parts
        },
        "sampling": asdict(preset.sampling),
        "windows": preset.windows,
        "licence": preset.licence,
        "defined_in": str(preset.defined_in),
    }
