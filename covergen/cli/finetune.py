"""`covergen finetune`: train an adapter on one's own music and covers."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli import jsonl, lines
from covergen.cli.interrupt import interruptible
from covergen.cli.options import (
    base_option,
    clap_options,
    compute_options,
    model_choice,
    quiet_option,
)
from covergen.core.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.jobs.finetune import Finetuned, FinetuneOptions, FinetunePlan
    from covergen.jobs.model import ModelChoice
    from covergen.training.recipe import Recipe

__all__ = ["finetune"]

# Options that stand in for a number of the recipe of the same name.
_RECIPE_OPTIONS = (
    "accumulation",
    "batch_size",
    "crop",
    "epochs",
    "learning_rate",
    "max_steps",
    "rank",
    "resolution",
    "seed",
    "validation",
)


@click.command(short_help="Train an adapter on music and covers.")
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be trained; touch nothing.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for adapter, checkpoints and report.  [default: ./NAME-adapter, NAME being"
    " that of --save-as or of DATASET]",
)
@click.option("--save-as", metavar="NAME", help="Make it a model: covergen tag --model NAME.")
@click.option("-f", "--force", is_flag=True, help="Let --save-as replace a model of that name.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the output folder.")
@click.option("--strict", is_flag=True, help="Stop at a pair that cannot be used.")
@clap_options
@base_option
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(["default", "reference"]),
    default="default",
    show_default=True,
    help="How to train; reference: precisely as art-from-audio does.",
)
@click.option(
    "--max-steps",
    type=click.IntRange(1),
    metavar="N",
    help="Steps to make.  [default: as many as the epochs have]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    metavar="N",
    help="Times to see every pair.  [default: the recipe's, 30]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="N",
    help="Pairs a step.  [default: the recipe's, 16; reference: 32]",
)
@click.option(
    "--accumulation",
    type=click.IntRange(1),
    metavar="N",
    help="Batches a step, one after another: less memory than a larger one.  [default: 1]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    metavar="X",
    help="Its highest.  [default: the recipe's, 0.0001]",
)
@click.option(
    "--rank",
    type=click.IntRange(1),
    metavar="N",
    help="Rank of the LoRA.  [default: the recipe's, 4]",
)
@click.option(
    "--resolution",
    type=click.IntRange(8),
    metavar="N",
    help="Side of the pictures in pixels.  [default: as the base paints; reference: 512]",
)
@click.option(
    "--crop",
    type=click.Choice(["center", "random", "stretch"]),
    help="How pictures become square.  [default: the recipe's, center; reference: stretch]",
)
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="X",
    help="Share of albums held back.  [default: the recipe's, 0.05; reference: 0]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Of all chance.",
)
@click.option(
    "--gradient-checkpointing", is_flag=True, help="Take less memory, and a third more time."
)
@compute_options
@quiet_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON Lines: an object a step, then a summary."
)
def finetune(dataset: Path, **options: Any) -> None:
    """Train an adapter on the pairs of music and covers in DATASET.

    A pair is two files of the same name: a sound, or its embedding, and a picture.
    """
    from covergen.jobs.finetune import FinetuneOptions
    from covergen.jobs.model import choose_preset

    choice = model_choice(options)
    name = options["save_as"] or dataset.resolve().name
    finetune_options = FinetuneOptions(
        dataset=dataset,
        preset=choose_preset(choice),
        recipe=_recipe(options),
        output=options["output"] or Path(f"{name}-adapter"),
        device=options["device"],
        dtype=options["dtype"],
        workers=options["jobs"],
        save_as=options["save_as"],
        resume=options["resume"],
        strict=options["strict"],
        force=options["force"],
    )
    if options["dry_run"]:
        _dry_run(finetune_options, options)
    else:
        _run(finetune_options, choice, options)


def _recipe(options: dict[str, Any]) -> Recipe:
    from covergen.training.recipe import RECIPES

    given = {name: options[name] for name in _RECIPE_OPTIONS if options[name] is not None}
    return replace(
        RECIPES[options["recipe_name"]],
        **given,
        gradient_checkpointing=options["gradient_checkpointing"],
        precision=options["dtype"],
    )


def _dry_run(finetune_options: FinetuneOptions, options: dict[str, Any]) -> None:
    from covergen.jobs.finetune import plan_finetune

    plan = plan_finetune(finetune_options)
    if options["as_json"]:
        output = {"output": str(finetune_options.output)}
        click.echo(jsonl.dumps("plan", asdict(plan) | output))
        return
    for line in _plan_lines(plan, finetune_options):
        click.echo(line)
    if not options["quiet"]:
        click.echo("Next: the same command without --dry-run.", err=True)


def _plan_lines(plan: FinetunePlan, options: FinetuneOptions) -> Iterator[str]:
    from covergen.cli.finetune_render import left_out_line

    for name, reason in plan.left_out.items():
        yield left_out_line(name, reason)
    yield f"pairs     {plan.pairs:,} of {plan.albums:,} albums, {plan.held_back:,} held back"
    yield f"to hear   {plan.unheard:,} sounds, but for those that are remembered"
    together = options.recipe.batch_size * options.recipe.accumulation
    yield f"steps     {plan.steps:,}, of {together:,} pairs each"
    yield f"output    {lines.shown(options.output)}, about {lines.byte_size(plan.disk_bytes)}"


def _run(finetune_options: FinetuneOptions, choice: ModelChoice, options: dict[str, Any]) -> None:
    from covergen.cli.finetune_render import FinetuneRenderer
    from covergen.jobs.finetune import finetune as train_adapter

    as_json, quiet = options["as_json"], options["quiet"]
    try:
        with (
            interruptible("what is trained is saved") as checkpoint,
            FinetuneRenderer(as_json=as_json, quiet=quiet) as renderer,
        ):
            done = train_adapter(finetune_options, renderer, checkpoint)
    except (Interrupted, KeyboardInterrupt):
        if as_json:
            click.echo(jsonl.dumps("summary", {"interrupted": True}))
        click.echo("Interrupted. Run the same command with --resume to go on.", err=True)
        raise
    if done is None:  # not the first process of several
        return
    command = _next_command(choice, done, options["save_as"])
    if as_json:
        click.echo(jsonl.dumps("summary", _summary(done, command)))
        return
    for line in _result_lines(done, options["save_as"]):
        click.echo(line)
    if not quiet:
        click.echo(f"Next: {command}", err=True)


def _result_lines(done: Finetuned, model: str | None) -> Iterator[str]:
    trained = done.trained
    held_back = trained.validation_loss
    tail = "" if held_back is None else f", held back {held_back:.4f}"
    took = lines.duration(trained.seconds)
    yield ""
    yield f"trained   {trained.steps:,} steps in {took}; loss {trained.loss:.4f}{tail}"
    yield f"adapter   {lines.shown(trained.adapter)}"
    yield f"report    {lines.shown(done.report)}"
    if done.models_file is not None:
        yield f"model     {model}, in {lines.shown(done.models_file)}"


def _summary(done: Finetuned, command: str) -> dict[str, object]:
    return {
        "adapter": str(done.trained.adapter),
        "report": str(done.report),
        "models_file": str(done.models_file) if done.models_file else None,
        "steps": done.trained.steps,
        "loss": done.trained.loss,
        "validation_loss": done.trained.validation_loss,
        "seconds": done.trained.seconds,
        "next": command,
        "interrupted": False,
    }


def _next_command(choice: ModelChoice, done: Finetuned, save_as: str | None) -> str:
    """How to paint with what was trained."""
    if save_as is not None:
        return f"covergen tag --model {save_as} PATH"
    given = {"base": choice.base, "clap": choice.clap, "windows": choice.windows}
    parts = {"model": choice.model, **given, "adapter": done.trained.adapter}
    words = [word for k, v in parts.items() if v is not None for word in (f"--{k}", str(v))]
    return shlex.join(["covergen", "tag", *words, "PATH"])
