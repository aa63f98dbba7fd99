"""`covergen models`: list, show, download and export models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.cli.options import json_option, output_option, quiet_option
from covergen.cli.output import jsonl
from covergen.cli.output.lines import byte_size, sampling_text, shown
from covergen.models.sources import PROCEDURAL, HubName, parse_source

if TYPE_CHECKING:
    from covergen.diffusion.export import Layout
    from covergen.models.inventory import Part
    from covergen.models.presets import Preset


@click.group()
def models() -> None:
    """List, show, download and export models."""


@models.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the built-in models and those in your models.toml, with what they need."""
    from covergen.models.inventory import parts_of
    from covergen.models.presets import load_presets

    found = [(preset, parts_of(preset)) for preset in load_presets().values()]
    if as_json:
        for preset, parts in found:
            click.echo(jsonl.dumps("model", _object(preset, parts)))
        return
    states = [_state(parts) for _, parts in found]
    name_width, state_width = max(len(preset.name) for preset, _ in found), max(map(len, states))
    for (preset, parts), state in zip(found, states, strict=True):
        click.echo(f"{preset.name:<{name_width}}  {state:<{state_width}}  {preset.description}")
        for line in _needs(preset, parts):
            click.echo(f"{'':<{name_width}}  {line}")


@models.command("show")
@click.argument("name")
@json_option
def show_model(name: str, *, as_json: bool) -> None:
    """Show a model's parts, where they are stored, and its sampling settings."""
    from covergen.models.inventory import parts_of
    from covergen.models.presets import find_preset, load_presets

    preset = find_preset(name, load_presets())
    parts = parts_of(preset)
    if as_json:
        click.echo(jsonl.dumps("model", _object(preset, parts)))
        return
    click.echo(f"{preset.name}: {preset.description}")
    for part in parts:
        place = f"{part.path} ({byte_size(part.size_bytes)})" if part.path else "not downloaded"
        source = "" if str(part.path) == part.source else f"{part.source}: "
        weight = "" if part.weight == 1 else f", weight {part.weight:g}"
        click.echo(f"  {part.kind:<10}{source}{place}{weight}")
    if preset.adapter is None:
        click.echo("  adapter   none: paints from words found for the music")
    pipeline = _is_pipeline(preset, parts)
    procedural = preset.base == PROCEDURAL
    sampling = (
        _pipeline_settings(preset)
        if pipeline
        else sampling_text(preset.sampling, procedural=procedural)
    )
    click.echo(f"  sampling  {sampling}; {preset.windows} windows of 10 s per track")
    for style in preset.styles:
        click.echo(f"  style     {style}")
    if preset.negative:
        click.echo(f"  negative  {preset.negative}")
    for label, text in _labeled(preset):
        if text:
            click.echo(f"  {label:<10}{text}")
    click.echo(f"  defined   {preset.defined_in}")
    for text in dict.fromkeys(_advice(preset, parts)):
        click.echo(text, err=True)


@models.command("pull")
@click.argument("name")
@quiet_option
def pull_model(name: str, *, quiet: bool) -> None:
    """Download the parts of a model from the Hugging Face Hub."""
    from covergen.models.inventory import parts_of
    from covergen.models.locate import pull
    from covergen.models.presets import find_preset, load_presets

    preset = find_preset(name, load_presets())
    for part in parts_of(preset):
        path = pull(
            part.source,
            part.kind,
            progress=not quiet,
            variant=preset.variant if part.kind == "base" else None,
            check=partial(_check_base, preset) if part.kind == "base" else None,
        )
        click.echo(f"{part.kind:<10}{path}")


def _check_base(preset: Preset, folder: Path) -> None:
    """Check a base before its weights are downloaded. Raises ModelError."""
    from covergen.models.part_files import is_pipeline
    from covergen.pipeline.model_files import check_adapter

    pipeline = preset.pipeline or is_pipeline(folder)
    check_adapter(preset, pipeline=pipeline)
    if pipeline:
        from covergen.diffusion.pipeline_config import read_pipeline_config

        read_pipeline_config(folder)
    else:
        from covergen.diffusion.base_config import check_configs

        check_configs(folder)


@models.command("export")
@click.argument("adapter")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["diffusers", "peft"]),
    default="diffusers",
    help="diffusers: also read by ComfyUI, A1111 and InvokeAI.",
)
@output_option("Output folder, created if needed.")
@click.option("-f", "--force", is_flag=True, help="Replace existing files.")
@json_option
def export_model(adapter: str, layout: Layout, output: Path, *, force: bool, as_json: bool) -> None:
    """Write ADAPTER, a file or a model name, in the layout of another program.

    The audio projection, which other programs do not support, is written to a separate file.
    """
    from covergen.jobs.export import export_adapter

    files = export_adapter(adapter, output, layout, force=force)
    if as_json:
        click.echo(jsonl.dumps("export", {"files": [str(file) for file in files]}))
        return
    for file in files:
        click.echo(shown(file))


def _state(parts: tuple[Part, ...]) -> str:
    missing = dict.fromkeys(part.kind for part in parts if part.path is None)
    if not missing:
        return "ready"
    present = any(part.path for part in parts)
    return f"{' and '.join(missing)} missing" if present else "not downloaded"


def _is_pipeline(preset: Preset, parts: tuple[Part, ...]) -> bool:
    """Whether diffusers paints with the base, as far as that is known."""
    from covergen.models.part_files import is_pipeline

    base = parts[0].path
    return preset.pipeline or (base is not None and is_pipeline(base))


def _needs(preset: Preset, parts: tuple[Part, ...]) -> Iterator[str]:
    """Yield what a model needs; nothing for one that needs nothing in particular."""
    if preset.adapter is None:
        own = "" if _is_pipeline(preset, parts) else ", or with your own adapter"
        yield f"paints from words for the music{own}"
    for label, text in _labeled(preset):
        if text:
            yield f"{label}: {text}"


def _advice(preset: Preset, parts: tuple[Part, ...]) -> Iterator[str]:
    """Yield what to do about missing parts; a line may be repeated."""
    for part in parts:
        if part.missing and isinstance(parse_source(part.source), HubName):
            yield f"Download what is missing with: covergen models pull {preset.name}"
        elif part.missing:
            yield str(part.missing)


def _labeled(preset: Preset) -> tuple[tuple[str, str], ...]:
    return (("license", preset.license), ("size", preset.size), ("memory", preset.memory))


def _pipeline_settings(preset: Preset) -> str:
    given = [f"{name} {getattr(preset.sampling, name)}" for name in preset.given]
    return ", ".join([*given, "otherwise the base's own settings"] if given else ["the base's own"])


def _object(preset: Preset, parts: tuple[Part, ...]) -> dict[str, object]:
    return {
        "name": preset.name,
        "description": preset.description,
        "parts": {part.kind: _part_object(part) for part in parts if part.kind != "lora"},
        "loras": [
            {**_part_object(part), "weight": part.weight} for part in parts if part.kind == "lora"
        ],
        "pipeline": _is_pipeline(preset, parts),
        "sampling": asdict(preset.sampling),
        "windows": preset.windows,
        "styles": list(preset.styles),
        "negative": preset.negative,
        "license": preset.license,
        "size": preset.size,
        "memory": preset.memory,
        "defined_in": str(preset.defined_in),
    }


def _part_object(part: Part) -> dict[str, object]:
    return {
        "source": part.source,
        "path": str(part.path) if part.path else None,
        "size_bytes": part.size_bytes,
    }
