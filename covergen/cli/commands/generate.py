"""`covergen generate`: paint picture files from audio files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from covergen.cli.job_runner import run_job
from covergen.cli.numbers import WholeNumber
from covergen.cli.options import (
    SectionedCommand,
    encoding_choice,
    encoding_options,
    json_option,
    model_choice,
    output_choice,
    paint_choice,
    paint_options,
    paths_argument,
    quiet_option,
    scan_choice,
    scan_options,
    verbose_option,
)
from covergen.core.errors import UsageError

__all__ = ["generate"]

_OTHER_FORMATS = (".avif", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}


@click.command(cls=SectionedCommand, short_help="Paint pictures from audio files.")
@paths_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Output folder; for a single track or playlist, it may also be a .png or .jpg file.",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing pictures.")
@scan_options
@click.option(
    "--seed",
    type=WholeNumber(0, 2**63 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed, used as given for every picture.",
)
@paint_options
@encoding_options
@quiet_option
@verbose_option
@json_option
def generate(paths: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Paint a picture for each audio file in PATH, or one for each playlist (.m3u, .m3u8).

    The audio files are not changed.
    """
    from covergen.jobs.generate import GenerateOptions
    from covergen.jobs.generate import generate as generate_pictures
    from covergen.pipeline.model import choose_preset, locate_model
    from covergen.pipeline.track_outputs import TrackOutputs

    preset = choose_preset(model_choice(options))
    locate_model(preset)
    suffix = output.suffix.lower()
    if suffix in _OTHER_FORMATS:
        raise UsageError(
            f"{output}: pictures must be .png or .jpg, and a folder must not end in {suffix}."
        )
    if suffix in _FORMATS:
        source = click.get_current_context().get_parameter_source("image_format")
        if source is ParameterSource.COMMANDLINE and options["image_format"] != _FORMATS[suffix]:
            raise UsageError(f"--format {options['image_format']} does not go with {output.name}.")
        options["image_format"] = _FORMATS[suffix]
    encoding = encoding_choice(options)
    if suffix not in _FORMATS:
        suffix = ".png" if encoding.format == "png" else ".jpg"
    outputs = TrackOutputs(
        paths=paths,
        output=output,
        suffix=suffix,
        force=options["force"],
        scan=scan_choice(options, "track"),
    )
    generate_options = GenerateOptions(
        paint=paint_choice(preset, options), seed=options["seed"], encoding=encoding
    )
    run_job(partial(generate_pictures, outputs, generate_options), output_choice(options))
