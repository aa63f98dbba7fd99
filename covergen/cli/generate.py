"""`covergen generate`: pictures from audio files, no tags."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from covergen.cli.options import (
    encoding_choice,
    encoding_options,
    excluded,
    json_option,
    model_choice,
    paint_choice,
    paint_options,
    paths_argument,
    quiet_option,
    verbose_option,
)
from covergen.cli.render import Renderer
from covergen.cli.run import run_job

__all__ = ["generate"]

_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}


@click.command()
@paths_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder; for a single track also a picture's name (.png, .jpg).",
)
@click.option("-f", "--force", is_flag=True, help="Replace pictures that are already there.")
@excluded
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Used as it is, for each picture.",
)
@paint_options
@encoding_options
@quiet_option
@verbose_option
@json_option
def generate(paths: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Paint a picture for each audio file of PATH, and leave the files alone."""
    from covergen.jobs.generate import GenerateOptions
    from covergen.jobs.generate import generate as generate_pictures
    from covergen.jobs.model import choose_preset, locate_model
    from covergen.jobs.tracks import TrackOutputs

    preset = choose_preset(model_choice(options))
    locate_model(preset)
    suffix = output.suffix.lower()
    if suffix in _FORMATS:
        options["image_format"] = _FORMATS[suffix]
    else:
        suffix = ".png" if options["image_format"] == "png" else ".jpg"
    encoding = encoding_choice(options)
    outputs = TrackOutputs(
        paths=paths,
        output=output,
        suffix=suffix,
        force=options["force"],
        exclude=options["exclude"],
    )
    generate_options = GenerateOptions(
        paint=paint_choice(preset, options), seed=options["seed"], encoding=encoding
    )
    renderer = Renderer(
        as_json=options["as_json"], quiet=options["quiet"], verbose=options["verbose"]
    )
    run_job(partial(generate_pictures, outputs, generate_options), renderer)
