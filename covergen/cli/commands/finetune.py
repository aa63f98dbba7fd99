"""`covergen finetune`: train an adapter on one's own music and covers."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covergen.cli.interrupt import interruptible
from covergen.cli.numbers import Number, WholeNumber
from covergen.cli.options import (
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
    metavar="DIR",
    help="A folder for adapter, checkpoints and report.  [default: ./NAME-adapter, NAME being"
    " that of --save-as or of DATASET]",
)
@click.option("--save-as", metavar="NAME", help="Make it a model: covergen tag --model NAME.")
@click.option("-f", "--force", is_flag=True, help="Let --save-as replace a model of that name.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the output folder.")
@click.option(
    "--from-scratch",
    is_flag=True,
    help="Know nothing of music at first.  [default: begin as the model's own adapter, if it has"
    " one that fits]",
)
@click.option("--strict", is_flag=True, help="Stop at a pair that cannot be used.")
@clap_options
@base_option
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(["default", "reference"]),
    default="default",
    show_default=True,
    help="How to train; reference: as art-from-audio does, step for step in fp32.",
)
@click.option(
    "--max-steps",
    type=WholeNumber(1),
    metavar="N",
    help="Steps to make.  [default: as many as the epochs have]",
)
@click.option(
    "--epochs",
    type=WholeNumber(1),
    metavar="N",
    help="Times to see every pair.  [default: the recipe's, 30]",
)
@click.option(
    "--batch-size",
    type=WholeNumber(1),
    metavar="N",
    help="Pairs a step.  [default: the recipe's, 16; reference: 32]",
)
@click.option(
    "--accumulation",
    type=WholeNumber(1),
    metavar="N",
    help="Batches a step, one after another: less memory than a larger one.  [default: 1]",
)
@click.option(
    "--learning-rate",
    type=Number(0, min_open=True),
    metavar="X",
    help="Its highest.  [default: the recipe's, 0.0001]",
)
@click.option(
    "--rank",
    type=WholeNumber(1),
    metavar="N",
    help="Rank of the LoRA.  [default: the recipe's, 4]",
)
@click.option(
    "--resolution",
    type=WholeNumber(8),
    metavar="N",
    help="Side of the pictures in pixels.  [default: as the base paints; reference: 512]",
)
@click.option(
    "--crop",
    type=click.Choice(["center", "random", "stretch"]),
    help="How pictures become square.  [default: the recipe's, center; reference: stretch]",
)
@click.option(
    "--save-every",
    type=WholeNumber(1),
    metavar="EPOCHS",
    help="Epochs between checkpoints.  [default: the recipe's, 250 steps; reference: 10 epochs]",
)
@click.option(
    "--validation",
    type=Number(0, 1, max_open=True),
    metavar="X",
    help="Share of albums held back.  [default: the recipe's, 0.05; reference: 0]",
)
@click.option(
    "--seed",
    type=WholeNumber(0, 2**63 - 1),
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
    from covergen.jobs.finetune.preflight import FinetuneOptions, check_finetune
    from covergen.pipeline.model import choose_preset

    choice = model_choice(options)
    if options["recipe_name"] == "reference":  # heard as there, and painted as there by --save-as
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


def _recipe(options: dict[str, Any]) -> Recipe:
    from covergen.training.recipe import RECIPES

    given = {name: options[name] for name in _RECIPE_OPTIONS if options[name] is not None}
    if options["save_every"] is not None:
        given |= {"checkpoint_every": options["save_every"], "checkpoint_unit": "epochs"}
    return replace(
        RECIPES[options["recipe_name"]],
        **given,
        gradient_checkpointing=options["gradient_checkpointing"],
        precision=options["dtype"],
    )


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
        click.echo("It would stop at what is left out, because of --strict.", err=True)
        click.get_current_context().exit(1)
    if not options["quiet"] and not options["as_json"]:
        click.echo("Next: the same command without --dry-run.", err=True)


def _plan_lines(plan: FinetunePlan, checked: Checked) -> Iterator[str]:
    from covergen.cli.output.training_progress import held_back, left_out_line

    recipe, output = checked.options.recipe, checked.options.output
    for name, reason in plan.left_out.items():
        yield left_out_line(name, reason)
    held, albums = held_back(plan.held_back, recipe.validation), lines.counted(plan.albums, "album")
    yield f"pairs     {plan.pairs:,} of {albums}, {held}"
    sounds = lines.counted(plan.unheard, "sound")
    yield f"to hear   {sounds}, but for those that are remembered"
    together = lines.counted(recipe.batch_size * recipe.accumulation, "pair")
    yield f"steps     {plan.steps:,}, each of {together}"
    yield f"begins    {'hearing as the model does' if plan.continues else 'from scratch'}"
    yield f"output    {lines.shown(output)}, about {lines.byte_size(plan.disk_bytes)}"


def _run(checked: Checked, choice: ModelChoice, options: dict[str, Any]) -> None:
    from covergen.cli.output.training_progress import FinetuneRenderer
    from covergen.jobs.finetune.run import finetune as train_adapter

    as_json, quiet = options["as_json"], options["quiet"]
    try:
        with (
            interruptible("what is trained is saved") as checkpoint,
            FinetuneRenderer(
                as_json=as_json,
                quiet=quiet,
                resume=options["resume"],
                validation=checked.options.recipe.validation,
            ) as renderer,
        ):
            done = train_adapter(checked, renderer, checkpoint)
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
    judged = trained.validation_loss
    tail = "" if judged is None else f", held back {judged:.4f}"
    steps, took = lines.counted(trained.steps, "step"), lines.duration(trained.seconds)
    yield ""
    yield f"trained   {steps} in {took}; loss of the last ones {trained.loss:.4f}{tail}"
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
    given = {
        "base": choice.base,
        "clap": choice.clap,
        "quality": choice.quality if choice.quality == "reference" else None,
        "windows": choice.windows,
        "padding": choice.padding,
    }
    parts = {"model": choice.model, **given, "adapter": done.trained.adapter}
    words = [word for k, v in parts.items() if v is not None for word in (f"--{k}", str(v))]
    return shlex.join(["covergen", "tag", *words, "PATH"])
