"""`covergen embed`: write CLAP embeddings to files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from covergen.cli.job_runner import run_job
from covergen.cli.options import (
    clap_options,
    compute_options,
    json_option,
    model_choice,
    output_choice,
    paths_argument,
    quiet_option,
    scan_choice,
    scan_options,
    verbose_option,
)
from covergen.core.types import Action

__all__ = ["embed"]


@click.command(short_help="Write CLAP embeddings of audio files.")
@paths_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Output folder.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["pt", "safetensors"]),
    default="pt",
    show_default=True,
    help="File format; both contain a (1, D) float32 tensor with unit L2 norm.",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing files.")
@scan_options
@clap_options
@compute_options
@quiet_option
@verbose_option
@json_option
def embed(paths: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Write the CLAP embedding of each audio file in PATH."""
    from covergen.compute.device import choose_compute
    from covergen.jobs.embed import embed as embed_to_files
    from covergen.pipeline.model import choose_preset, locate_part
    from covergen.pipeline.track_outputs import TrackOutputs

    preset = choose_preset(model_choice(options))
    clap = locate_part(preset, "clap")
    outputs = TrackOutputs(
        paths=paths,
        output=output,
        suffix=f".{options['file_format']}",
        action=Action.EMBED,
        force=options["force"],
        scan=scan_choice(options, "track"),
    )
    job = partial(
        embed_to_files,
        outputs,
        clap,
        choose_compute(options["device"], options["dtype"]),
        windows=preset.windows,
        padding=preset.padding,
        workers=options["jobs"],
    )
    run_job(job, output_choice(options))
