"""`covergen finetune`: train an adapter on your own music and covers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.help_sections import ADVANCED, SectionedCommand
from covergen.cli.interrupt import interruptible
from covergen.cli.model_options import base_option, clap_options, compute_options
from covergen.cli.options import json_option, quiet_option
from covergen.cli.output import jsonl, lines
from covergen.cli.value_types import Number, WholeNumber
from covergen.core.errors import Interrupted

if TYPE_CHECKING:
    from covergen.cli.model_options import ComputeOptions
    from covergen.jobs.finetune.preflight import Checked
    from covergen.jobs.finetune.run import Finetuned, FinetunePlan
    from covergen.pipeline.model_choice import ModelChoice
    from covergen.training.recipe import Recipe


_SECTIONS = {
    "Training": (
        "recipe_name", "init", "from_scratch", "resume", "max_steps", "epochs", "batch_size",
        "learning_rate", "rank", "resolution", "seed",
    ),
    "Model": ("model", "base"),
    "Speed": ("device", "jobs"),
    "Output": (
        "dry_run", "output", "save_as", "force", "quiet", "as_json", "help", "help_all",
    ),
    ADVANCED: (
        "accumulation", "projection_lr", "optimizer", "lora_dropout", "crop", "flip", "validation",
        "strict", "save_every", "clap", "windows", "padding",
        "dtype", "gradient_checkpointing",
    ),
}  # fmt: skip


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("-n", "--dry-run", is_flag=True, help="Print the training plan; change nothing.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for the adapter, checkpoints and report.  [default: ./NAME-adapter, with NAME from"
    " --save-as or DATASET]",
)
@click.option(
    "--save-as", metavar="NAME", help="Save as a model for use with `covergen tag --model NAME`."
)
@click.option("-f", "--force", is_flag=True, help="Let --save-as replace an existing model.")
@click.option(
    "--resume", is_flag=True, help="Continue from the last checkpoint in the output folder."
)
@click.option(
    "--from-scratch",
    is_flag=True,
    help="Train the projection from scratch.  [default: start from the model's own adapter, if it"
    " fits]",
)
@click.option(
    "--init",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Adapter to start from, LoRA and projection; art-from-audio's also work.",
)
@click.option("--strict", is_flag=True, help="Stop if a pair cannot be used.")
@clap_options
@base_option
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(["default", "reference"]),
    default="default",
    help="Recipe; reference: as in art-from-audio, in fp32. Explicit options override this.",
)
@click.option("--max-steps", type=WholeNumber(1), help="Number of steps.  [default: from --epochs]")
@click.option(
    "--epochs",
    type=WholeNumber(1),
    help="Number of passes over all pairs.  [default: from the recipe, 30]",
)
@click.option(
    "--batch-size",
    type=WholeNumber(1),
    help="Pairs per batch.  [default: from the recipe, 16; reference: 32]",
)
@click.option(
    "--accumulation",
    type=WholeNumber(1),
    help="Batches per step. Batches that do not fit in memory are split.  [default: 1]",
)
@click.option(
    "--learning-rate",
    type=Number(0, min_open=True),
    help="Peak learning rate.  [default: from the recipe, 0.0001]",
)
@click.option(
    "--projection-lr",
    type=Number(0, min_open=True),
    help="Peak learning rate of the projection.  [default: --learning-rate]",
)
@click.option(
    "--optimizer",
    type=click.Choice(["adamw", "adamw8bit"]),
    help="Optimizer; adamw8bit needs CUDA and bitsandbytes.  [default: adamw]",
)
@click.option(
    "--rank", type=WholeNumber(1), help="Rank of the LoRA.  [default: from --init or the recipe, 4]"
)
@click.option(
    "--lora-dropout",
    type=Number(0, 1, max_open=True),
    help="Share of the LoRA's inputs to drop.  [default: 0]",
)
@click.option(
    "--resolution",
    type=WholeNumber(8),
    help="Side of the training pictures in pixels.  [default: the base's own; reference: 512]",
)
@click.option(
    "--crop",
    type=click.Choice(["center", "random", "stretch"]),
    help="How to make pictures square.  [default: from the recipe, center; reference: stretch]",
)
@click.option("--flip", is_flag=True, default=None, help="Mirror half of the pictures.")
@click.option(
    "--save-every",
    type=WholeNumber(1),
    metavar="EPOCHS",
    help="Epochs between checkpoints.  [default: from the recipe, 250 steps; reference: 10 epochs]",
)
@click.option(
    "--validation",
    type=Number(0, 1, max_open=True),
    help="Share of albums held out for validation.  [default: from the recipe, 0.05; reference: 0]",
)
@click.option("--seed", type=WholeNumber(0, 2**63 - 1), default=0, help="Random seed.")
@click.option(
    "--gradient-checkpointing/--no-gradient-checkpointing",
    default=None,
    help="Use less memory; steps take a third longer.  [default: if memory is short]",
)
@compute_options
@quiet_option
@json_option
def finetune(
    *,
    dataset: Path,
    dry_run: bool,
    output: Path | None,
    save_as: str | None,
    force: bool,
    resume: bool,
    init: Path | None,
    from_scratch: bool,
    strict: bool,
    choice: ModelChoice,
    base: str | None,
    recipe_name: str,
    save_every: int | None,
    compute: ComputeOptions,
    quiet: bool,
    as_json: bool,
    **settings: float | str | None,  # of the recipe, by the names of its fields
) -> None:
    """Train an adapter on the pairs of music and covers in DATASET.

    A pair is two files with the same name: an audio file or its embedding, and a picture.
    """
    from covergen.jobs.finetune.preflight import FinetuneOptions, check_finetune
    from covergen.pipeline.model_choice import choose_preset

    choice = replace(choice, base=base)
    if recipe_name == "reference":  # embed and paint like the reference, too
        choice = replace(choice, quality="reference")
    options = FinetuneOptions(
        dataset=dataset,
        preset=choose_preset(choice, makes_adapter=True),
        recipe=_recipe(recipe_name, save_every, precision=compute.dtype, **settings),
        output=output or Path(f"{save_as or dataset.resolve().name}-adapter"),
        device=compute.device,
        dtype=compute.dtype,
        workers=compute.workers,
        init=init,
        given=frozenset(name for name, value in settings.items() if value is not None),
        from_scratch=from_scratch,
        save_as=save_as,
        resume=resume,
        strict=strict,
        force=force,
    )
    checked = check_finetune(options)
    if dry_run:
        _dry_run(checked, quiet=quiet, as_json=as_json)
    else:
        _run(checked, choice, quiet=quiet, as_json=as_json)


def _recipe(name: str, save_every: int | None, **settings: Any) -> Recipe:
    """Return a recipe with the settings that are not None. Raises TypeError for unknown names."""
    from covergen.training.recipe import RECIPES

    given = {name: value for name, value in settings.items() if value is not None}
    if save_every is not None:
        given |= {"checkpoint_every": save_every, "checkpoint_unit": "epochs"}
    return replace(RECIPES[name], **given)


def _dry_run(checked: Checked, *, quiet: bool, as_json: bool) -> None:
    from covergen.jobs.finetune.run import plan_finetune

    plan = plan_finetune(checked)
    if as_json:
        output = {"output": str(checked.options.output)}
        click.echo(jsonl.dumps("plan", asdict(plan) | output))
    else:
        for line in _plan_lines(plan, checked):
            click.echo(line)
    if checked.options.strict and plan.left_out:
        click.echo("Training would stop at the pairs left out, because of --strict.", err=True)
        click.get_current_context().exit(1)
    if not quiet and not as_json:
        click.echo("Next: run the same command without --dry-run.", err=True)


def _plan_lines(plan: FinetunePlan, checked: Checked) -> Iterator[str]:
    from covergen.cli.output.training_renderer import left_out_line, validation_text

    recipe, output = checked.options.recipe, checked.options.output
    for name, reason in plan.left_out.items():
        yield left_out_line(name, reason)
    albums = lines.counted(plan.albums, "album")
    validation = validation_text(plan.held_back, recipe.validation)
    yield f"pairs     {plan.pairs:,} from {albums}, {validation}"
    if captions := sum(bool(pair.caption) for pair in checked.dataset.pairs):
        too_long = f"; of {plan.long_captions:,}, only the beginning" if plan.long_captions else ""
        yield f"captions  {captions:,}, each used in half of the steps of its pair{too_long}"
    tracks = lines.counted(plan.to_embed, "track")
    yield f"to embed  {tracks}, except those already cached"
    step_pairs = lines.counted(recipe.batch_size * recipe.accumulation, "pair")
    yield f"steps     {plan.steps:,} of {step_pairs} each"
    start = "from the model's adapter" if plan.continues else "from scratch"
    init = checked.options.init
    yield f"start     {start if init is None else f'from {lines.shown(init)}'}"
    yield f"output    {lines.shown(output)}, about {lines.byte_size(plan.disk_bytes)}"


def _run(checked: Checked, choice: ModelChoice, *, quiet: bool, as_json: bool) -> None:
    from covergen.cli.output.training_renderer import FinetuneRenderer
    from covergen.jobs.finetune.run import finetune as train_adapter

    options = checked.options
    try:
        with (
            interruptible("progress is saved") as check_interrupted,
            FinetuneRenderer(
                as_json=as_json,
                quiet=quiet,
                resume=options.resume,
                validation=options.recipe.validation,
            ) as renderer,
        ):
            done = train_adapter(checked, renderer, check_interrupted)
    except (Interrupted, KeyboardInterrupt):
        if as_json:
            click.echo(jsonl.dumps("summary", {"interrupted": True}))
        click.echo("Interrupted. Run the same command with --resume to continue.", err=True)
        raise
    if done is None:  # not the first process of several
        return
    command = _next_command(choice, done.trained.adapter, options.save_as)
    if as_json:
        click.echo(jsonl.dumps("summary", _summary(done, command)))
        return
    for line in _result_lines(done, options.save_as):
        click.echo(line)
    if quiet:
        return
    click.echo(f"Next: {command}", err=True)
    best = done.trained.best
    if best is not None and best.step < done.trained.steps:
        other = _next_command(choice, best.path, None)
        click.echo(f"Or, with the lowest validation loss: {other}", err=True)


def _result_lines(done: Finetuned, model: str | None) -> Iterator[str]:
    trained = done.trained
    validation = trained.validation_loss
    tail = "" if validation is None else f", validation {validation:.4f}"
    steps, time = lines.counted(trained.steps, "step"), lines.duration(trained.seconds)
    yield ""
    yield f"trained   {steps} in {time}; final loss {trained.loss:.4f}{tail}"
    yield f"adapter   {lines.shown(trained.adapter)}"
    best = trained.best
    if best is not None:
        yield f"best      {lines.shown(best.path)}: step {best.step:,}, validation {best.loss:.4f}"
    yield f"report    {lines.shown(done.report)}"
    if done.models_file is not None:
        yield f"model     {model}, in {lines.shown(done.models_file)}"


def _summary(done: Finetuned, command: str) -> dict[str, object]:
    best = done.trained.best
    return {
        "adapter": str(done.trained.adapter),
        "best": asdict(best) | {"path": str(best.path)} if best else None,
        "report": str(done.report),
        "models_file": str(done.models_file) if done.models_file else None,
        "steps": done.trained.steps,
        "loss": done.trained.loss,
        "validation_loss": done.trained.validation_loss,
        "seconds": done.trained.seconds,
        "next": command,
        "interrupted": False,
    }


def _next_command(choice: ModelChoice, adapter: Path, save_as: str | None) -> str:
    """The command that paints with an adapter, or with the model that it was saved as."""
    if save_as is not None:
        return f"covergen tag --model {save_as} PATH"
    given = {
        "base": choice.base,
        "clap": choice.clap,
        "quality": choice.quality if choice.quality == "reference" else None,
        "windows": choice.windows,
        "padding": choice.padding,
    }
    parts = {"model": choice.model, **given, "adapter": adapter}
    words = [word for k, v in parts.items() if v is not None for word in (f"--{k}", str(v))]
    return shlex.join(["covergen", "tag", *words, "PATH"])
