"""`covergen embed`: write CLAP embeddings to files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.cli.job_runner import run_job
from covergen.cli.model_options import clap_options, compute_options, engine_options
from covergen.cli.options import console_options, output_option, paths_argument, scan_options
from covergen.core.album import Action

if TYPE_CHECKING:
    from covergen.cli.model_options import ComputeOptions
    from covergen.cli.options import ConsoleOptions
    from covergen.library.scanning.scan import ScanOptions
    from covergen.pipeline.model_choice import ModelChoice
    from covergen.pipeline.options import RayOptions


@click.command()
@paths_argument
@output_option("Output folder.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["pt", "safetensors"]),
    default="pt",
    help="File format; both contain a (1, D) float32 tensor with unit L2 norm.",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing files.")
@scan_options
@clap_options
@compute_options
@engine_options
@console_options
def embed(
    *,
    paths: tuple[Path, ...],
    output: Path,
    file_format: str,
    force: bool,
    scan: ScanOptions,
    choice: ModelChoice,
    compute: ComputeOptions,
    ray: RayOptions | None,
    console: ConsoleOptions,
) -> None:
    """Write the CLAP embedding of each audio file in PATH."""
    from covergen.jobs.embed import embed as embed_to_files
    from covergen.pipeline.model_choice import choose_preset
    from covergen.pipeline.model_files import locate_part
    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.track_outputs import TrackOutputs

    preset = choose_preset(choice)
    options = PaintOptions(
        preset=preset,
        device=compute.device,
        dtype=compute.dtype,
        workers=compute.workers,
        ray=ray,
    )
    if ray is None:
        from covergen.compute.device import choose_compute

        locate_part(preset, "clap")
        choose_compute(compute.device, compute.dtype)
    outputs = TrackOutputs(
        paths=paths,
        output=output,
        suffix=f".{file_format}",
        action=Action.EMBED,
        force=force,
        scan=replace(scan, per="track"),
    )
    job = partial(embed_to_files, outputs, options)
    run_job(job, console.renderer("track"), promise="embeddings that are written are kept")
