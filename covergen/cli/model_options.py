"""Options of the model, and of where and how it computes, in groups like those of `options`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli import value_types
from covergen.cli.option_group import is_on_command_line, option_group
from covergen.cli.value_types import Number, WholeNumber
from covergen.compute.device import MOST_FOR_CPU
from covergen.core.cover import FINISHES, PADDINGS, QUALITIES, SCHEDULERS, TITLES
from covergen.core.errors import UsageError

if TYPE_CHECKING:
    from covergen.pipeline.model_choice import ModelChoice
    from covergen.pipeline.options import PaintOptions, RayOptions


base_option = click.option(
    "--base", metavar="NAME|DIR", help="Use another diffusion model as the base."
)


@option_group("choice")
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    help="A name from `covergen models list`.  [default: starter, or none if all parts are given]",
)
@click.option("--clap", metavar="NAME|DIR", help="Use another CLAP model.")
@click.option(
    "--windows",
    type=WholeNumber(1, 100),
    help="10 s windows embedded per track.  [default: the model's]",
)
@click.option(
    "--padding",
    type=click.Choice(PADDINGS),
    help="Pad tracks shorter than 10 s by repeating them or with silence.  [default: the model's]",
)
def clap_options(**settings: Any) -> ModelChoice:
    """Which model embeds tracks, and how: fields of ModelChoice."""
    from covergen.pipeline.model_choice import ModelChoice

    return ModelChoice(**settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeOptions:
    """Where and how precisely to compute, as `choose_compute` accepts it.

    `workers` is the number of decoder processes.
    """

    device: str
    dtype: str
    workers: int | None


@option_group("compute")
@click.option(
    "--device",
    type=value_types.device,
    default="auto",
    metavar="DEVICE",
    help="Where to compute: auto, cpu, cuda, cuda:N (the Nth GPU, from 0) or mps.",
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    help="Precision; auto: bf16 or fp16 on a GPU, fp32 on a CPU.",
)
@click.option(
    "-j",
    "--jobs",
    type=WholeNumber(1, 64),
    show_default=f"cores; without a GPU at most {MOST_FOR_CPU}",
    help="Number of decoder processes.",
)
def compute_options(*, device: str, dtype: str, jobs: int | None) -> ComputeOptions:
    """Where and how precisely to compute."""
    return ComputeOptions(device=device, dtype=dtype, workers=jobs)


def _note_lora_rank(ctx: click.Context, _param: click.Parameter, value: int | None) -> None:
    if value is not None and not ctx.resilient_parsing:
        click.echo("Note: --lora-rank is ignored: the rank is read from the adapter.", err=True)


@option_group("choice")
@clap_options
@click.option(
    "--adapter",
    metavar="FILE",
    help="Adapter file, or none to paint from words found for the music.",
)
@base_option
@click.option(  # for scripts that were written for art-from-audio
    "--lora-rank", type=int, hidden=True, expose_value=False, callback=_note_lora_rank
)
@click.option(
    "--steps", type=WholeNumber(1, 1000), help="Number of denoising steps.  [default: the model's]"
)
@click.option(
    "--guidance",
    type=Number(0, 100),
    help="Guidance scale; 1 or less turns it off.  [default: the model's]",
)
@click.option(
    "--scheduler", type=click.Choice(SCHEDULERS), help="Diffusion sampler.  [default: the model's]"
)
@click.option(
    "--guided-from",
    type=Number(0, 1),
    help="Share of the steps before guidance starts.  [default: the model's]",
)
@click.option(
    "--guided-until",
    type=Number(0, 1),
    help="Share of the steps after which guidance stops; unguided steps take half the time."
    "  [default: the model's]",
)
@click.option(
    "--reuse",
    type=WholeNumber(1, 10),
    help="Run the full UNet only every Nth step.  [default: the model's]",
)
@click.option(
    "--quality",
    type=click.Choice(QUALITIES),
    default="standard",
    help="Preset of sampling settings; reference: exactly as in art-from-audio. Explicit"
    " options override this.",
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    metavar="WORDS",
    help="Words for the style. Repeatable: each album takes one.  [default: the model's]",
)
@click.option("--negative", metavar="WORDS", help="Words for what pictures should not show.")
@click.option(
    "--finish",
    type=click.Choice(FINISHES),
    metavar="NAME",
    help="sharp, smooth, print (flat inks), paper (print with grain) or none."
    "  [default: the model's]",
)
@click.option(
    "--inks",
    type=WholeNumber(2, 24),
    help="Maximum number of inks of a print.  [default: the model's]",
)
@click.option(
    "--title",
    type=click.Choice(TITLES),
    metavar="none|title|full",
    help="Typeset the title, or title and artist (full).",
)
def model_options(*, choice: ModelChoice, **settings: Any) -> ModelChoice:
    """Which model paints, and how: fields of ModelChoice."""
    return replace(choice, **settings)


@option_group("paint")
@model_options
@click.option(
    "--batch-size",
    type=value_types.batch_size,
    default="auto",
    metavar="N|auto",
    help="Number of covers painted at once.",
)
@click.option(
    "--paint-size",
    type=WholeNumber(16, 4096),
    help="Width and height in pixels at which posters, finishes and titles are made."
    "  [default: the largest size written]",
)
@compute_options
def paint_options(
    *,
    choice: ModelChoice,
    batch_size: int | None,
    paint_size: int | None,
    compute: ComputeOptions,
) -> PaintOptions:
    """How to paint. Raises what `choose_preset` raises."""
    from covergen.pipeline.model_choice import choose_preset
    from covergen.pipeline.options import PaintOptions

    dtype = compute.dtype
    if dtype == "auto" and choice.quality == "reference":
        dtype = "fp32"
    return PaintOptions(
        preset=choose_preset(choice),
        device=compute.device,
        dtype=dtype,
        workers=compute.workers,
        batch_size=batch_size,
        size=paint_size,
    )


@option_group("ray")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="Embed and paint in this process, or on a Ray cluster (covergen[ray]).",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT|auto",
    help="Head of the Ray cluster, or auto for the one that this machine is part of."
    "  [default: Ray is started on this machine]",
)
@click.option(
    "--path-map",
    type=value_types.path_map,
    metavar="FROM=TO",
    multiple=True,
    help="Workers find the folder FROM at TO. Repeatable.",
)
def engine_options(
    *, engine: str, ray_address: str | None, path_map: tuple[tuple[Path, Path], ...]
) -> RayOptions | None:
    """Where to embed and paint. Raises UsageError, and DependencyError if Ray is missing."""
    if engine == "local":
        for name, flag in {"ray_address": "--ray-address", "path_map": "--path-map"}.items():
            if is_on_command_line(name):
                raise UsageError(f"{flag} requires --engine ray.")
        return None
    from covergen.pipeline.engines.ray_cluster import check_address, check_device, check_installed
    from covergen.pipeline.options import RayOptions

    context = click.get_current_context()
    check_installed()
    check_device(str(context.params["device"]))
    return RayOptions(
        address=check_address(ray_address or ""),
        path_map=path_map,
        # Ray prints the output of workers on stdout, too.
        verbose=context.params["verbose"] and not context.params["as_json"],
    )
