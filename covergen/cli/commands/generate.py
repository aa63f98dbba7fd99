"""`covergen generate`: paint picture files from audio files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from covergen.cli.help_sections import SectionedCommand
from covergen.cli.job_runner import run_job
from covergen.cli.model_options import engine_options, paint_options
from covergen.cli.option_group import is_on_command_line
from covergen.cli.options import (
    console_options,
    encoding_options,
    output_option,
    paths_argument,
    scan_options,
)
from covergen.cli.value_types import WholeNumber
from covergen.core.cover_encoding import Encoding
from covergen.core.errors import UsageError

if TYPE_CHECKING:
    from covergen.cli.options import ConsoleOptions
    from covergen.library.scanning.scan import ScanOptions
    from covergen.pipeline.options import PaintOptions, RayOptions


_OTHER_FORMATS = (".avif", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_FORMATS: dict[str, Literal["png", "jpeg"]] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}


@click.command(cls=SectionedCommand)
@paths_argument
@output_option(
    "Output folder; for a single track, it may also be a .png or .jpg file.",
    metavar="DIR|FILE",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing pictures.")
@scan_options
@click.option(
    "--seed",
    type=WholeNumber(0, 2**63 - 1),
    default=0,
    help="Random seed, used as given for every picture.",
)
@paint_options
@engine_options
@encoding_options
@console_options
def generate(
    *,
    paths: tuple[Path, ...],
    output: Path,
    force: bool,
    scan: ScanOptions,
    seed: int,
    paint: PaintOptions,
    ray: RayOptions | None,
    encoding: Encoding,
    console: ConsoleOptions,
) -> None:
    """Paint a picture for each audio file in PATH, or one for each playlist (.m3u, .m3u8).

    The audio files are not changed.
    """
    from covergen.jobs.generate import GenerateOptions
    from covergen.jobs.generate import generate as generate_pictures
    from covergen.pipeline.model_files import locate_model
    from covergen.pipeline.track_outputs import TrackOutputs

    if ray is None:  # on a cluster, its machines have the model
        locate_model(paint.preset)
    suffix, encoding = _format_of(output, encoding)
    outputs = TrackOutputs(
        paths=paths,
        output=output,
        suffix=suffix,
        force=force,
        scan=replace(scan, per="track"),
    )
    options = GenerateOptions(
        paint=replace(paint, size=paint.size or encoding.size, ray=ray),
        seed=seed,
        encoding=encoding,
    )
    run_job(partial(generate_pictures, outputs, options), console.renderer("picture"))


def _format_of(output: Path, encoding: Encoding) -> tuple[str, Encoding]:
    """Return the suffix of the pictures, and their encoding. Raises UsageError."""
    suffix = output.suffix.lower()
    if suffix in _OTHER_FORMATS:
        raise UsageError(
            f"{output}: pictures must be .png or .jpg, and a folder must not end in {suffix}."
        )
    if suffix not in _FORMATS:
        return ".png" if encoding.format == "png" else ".jpg", encoding
    for name, flag in {"image_format": "--format", "purpose": "--for"}.items():
        if is_on_command_line(name) and encoding.format != _FORMATS[suffix]:
            value = click.get_current_context().params[name]
            raise UsageError(f"{flag} {value} does not go with {output.name}.")
    return suffix, replace(encoding, format=_FORMATS[suffix])
