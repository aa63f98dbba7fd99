"""`covergen finetune`: train an adapter on your own music and covers."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.interrupt import interruptible
from covergen.cli.numbers import Number, WholeNumber
from covergen.cli.options import (
    SectionedCommand,
    base_option,
    clap_options,
    compute_options,
    model_choice,
    quiet_option,
)
from covergen.cli.output import jsonl
from covergen.cli.output import text as lines
from covergen.core.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.jobs.finetune.preflight import Checked
    from covergen.jobs.finetune.run import Finetuned, FinetunePlan
    from covergen.pipeline.model import ModelChoice
    from covergen.training.recipe import Recipe

__all__ = ["finetune"]

# Options that override the recipe's setting of the same name.
_RECIPE_OPTIONS = (
    "accumulation",
    "batch_size",
    "crop",
    "epochs",
    "flip",
    "gradient_checkpointing",
    "learning_rate",
    "lora_dropout",
    "max_steps",
    "optimizer",
    "projection_lr",
    "rank",
    "resolution",
    "seed",
    "validation",
)


_SECTIONS = {
    "Training": (
        "recipe_name", "init", "from_scratch", "resume", "strict", "max_steps", "epochs",
        "batch_size", "accumulation", "learning_rate", "projection_lr", "optimizer", "rank",
        "lora_dropout", "resolution", "crop", "flip", "validation", "seed",
    ),
    "Model": ("model", "base", "clap", "windows", "padding"),
    "Speed and memory": ("device", "dtype", "gradient_checkpointing", "jobs"),
    "Output": (
        "dry_run", "output", "save_as", "force", "save_every", "quiet", "as_json", "help",
    ),
}  # fmt: skip


@click.command(
    cls=SectionedCommand, sections=_SECTIONS, short_help="Train an adapter on music and covers."
)
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
    show_default=True,
    help="Recipe; reference: as in art-from-audio, in fp32. Explicit options override this.",
)
@click.option(
    "--max-steps",
    type=WholeNumber(1),
    metavar="N",
    help="Number of steps.  [default: from --epochs]",
)
@click.option(
    "--epochs",
    type=WholeNumber(1),
    metavar="N",
    help="Number of passes over all pairs.  [default: from the recipe, 30]",
)
@click.option(
    "--batch-size",
    type=WholeNumber(1),
    metavar="N",
    help="Pairs per batch.  [default: from the recipe, 16; reference: 32]",
)
@click.option(
    "--accumulation",
    type=WholeNumber(1),
    metavar="N",
    help="Batches per step. Batches that do not fit in memory are split.  [default: 1]",
)
@click.option(
    "--learning-rate",
    type=Number(0, min_open=True),
    metavar="X",
    help="Peak learning rate.  [default: from the recipe, 0.0001]",
)
@click.option(
    "--projection-lr",
    type=Number(0, min_open=True),
    metavar="X",
    help="Peak learning rate of the projection.  [default: --learning-rate]",
)
@click.option(
    "--optimizer",
    type=click.Choice(["adamw", "adamw8bit"]),
    help="Optimizer; adamw8bit needs CUDA and bitsandbytes.  [default: adamw]",
)
@click.option(
    "--rank",
    type=WholeNumber(1),
    metavar="N",
    help="Rank of the LoRA.  [default: from --init or the recipe, 4]",
)
@click.option(
    "--lora-dropout",
    type=Number(0, 1, max_open=True),
    metavar="X",
    help="Share of the LoRA's inputs to drop.  [default: 0]",
)
@click.option(
    "--resolution",
    type=WholeNumber(8),
    metavar="N",
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
    metavar="X",
    help="Share of albums held out for validation.  [default: from the recipe, 0.05; reference: 0]",
)
@click.option(
    "--seed",
    type=WholeNumber(0, 2**63 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed.",
)
@click.option(
    "--gradient-checkpointing/--no-gradient-checkpointing",
    default=None,
    help="Use less memory; steps take a third longer.  [default: if memory is short]",
)
@compute_options
@quiet_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON Lines: one object per step, then a summary."
)
def finetune(dataset: Path, **options: Any) -> None:
    """Train an adapter on the pairs of music and covers in DATASET.

    A pair is two files with the same name: an audio file or its embedding, and a picture.
    """
    from covergen.jobs.finetune.preflight import FinetuneOptions, check_finetune
    from covergen.pipeline.model import choose_preset

    choice = model_choice(options)
    if options["recipe_name"] == "reference":  # embed and paint like the reference, too
        choice = replace(choice, quality="reference")
    name = options["save_as"] or dataset.resolve().name
    finetune_options = FinetuneOptions(
        dataset=dataset,
        preset=choose_preset(choice, makes_adapter=True),
        recipe=_recipe(options),
        output=options["output"] or Path(f"{name}-adapter"),
        device=options["device"],
        dtype=options["dtype"],
        workers=options["jobs"],
        init=options["init"],
        given=frozenset(_given(options)),
        from_scratch=options["from_scratch"],
        save_as=options["save_as"],
        resume=options["resume"],
        strict=options["strict"],
        force=options["force"],
    )
    checked = check_finetune(finetune_options)
    if options["dry_run"]:
        _dry_run(checked, options)
    else:
        _run(checked, choice, options)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The recipe's settings that were given on the command line."""
    return {name: options[name] for name in _RECIPE_OPTIONS if options[name] is not None}


def _recipe(options: dict[str, Any]) -> Recipe:
    from covergen.training.recipe import RECIPES

    given = _given(options)
    if options["save_every"] is not None:
        given |= {"checkpoint_every": options["save_every"], "checkpoint_unit": "epochs"}
    return replace(RECIPES[options["recipe_name"]], **given, precision=options["dtype"])


def _dry_run(checked: Checked, options: dict[str, Any]) -> None:
    from covergen.jobs.finetune.run import plan_finetune

    plan = plan_finetune(checked)
    if options["as_json"]:
        output = {"output": str(checked.options.output)}
        click.echo(jsonl.dumps("plan", asdict(plan) | output))
    else:
        for line in _plan_lines(plan, checked):
            click.echo(line)
    if options["strict"] and plan.left_out:
        click.echo("Training would stop at the pairs left out, because of --strict.", err=True)
        click.get_current_context().exit(1)
    if not options["quiet"] and not options["as_json"]:
        click.echo("Next: run the same command without --dry-run.", err=True)


def _plan_lines(plan: FinetunePlan, checked: Checked) -> Iterator[str]:
    from covergen.cli.output.training_progress import left_out_line, validation_text

    recipe, output = checked.options.recipe, checked.options.output
    for name, reason in plan.left_out.items():
        yield left_out_line(name, reason)
    albums = lines.counted(plan.albums, "album")
    validation = validation_text(plan.held_back, recipe.validation)
    yield f"pairs     {plan.pairs:,} from {albums}, {validation}"
    tracks = lines.counted(plan.to_embed, "track")
    yield f"to embed  {tracks}, except those already cached"
    step_pairs = lines.counted(recipe.batch_size * recipe.accumulation, "pair")
    yield f"steps     {plan.steps:,} of {step_pairs} each"
    start = "from the model's adapter" if plan.continues else "from scratch"
    init = checked.options.init
    yield f"start     {start if init is None else f'from {lines.shown(init)}'}"
    yield f"output    {lines.shown(output)}, about {lines.byte_size(plan.disk_bytes)}"


def _run(checked: Checked, choice: ModelChoice, options: dict[str, Any]) -> None:
    from covergen.cli.output.training_progress import FinetuneRenderer
    from covergen.jobs.finetune.run import finetune as train_adapter

    as_json, quiet = options["as_json"], options["quiet"]
    try:
        with (
            interruptible("progress is saved") as check_interrupted,
            FinetuneRenderer(
                as_json=as_json,
                quiet=quiet,
                resume=options["resume"],
                validation=checked.options.recipe.validation,
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
    command = _next_command(choice, done.trained.adapter, options["save_as"])
    if as_json:
        click.echo(jsonl.dumps("summary", _summary(done, command)))
        return
    for line in _result_lines(done, options["save_as"]):
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
