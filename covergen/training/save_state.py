"""Save the adapter and the state of a training."""

from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import PartialState

from covergen.core.errors import TrainingError
from covergen.diffusion.adapter import save
from covergen.diffusion.base_config import mark_of
from covergen.training.checkpoints import save_checkpoint
from covergen.training.events import Saved
from covergen.training.output_folder import last_step
from covergen.training.training_run import TrainingRun


def save_state(run: TrainingRun) -> Path:
    """Save a checkpoint and return its adapter.

    Raises TrainingError if the weights are not finite, and ModelError or OSError if it cannot be
    written.
    """
    learner = run.learner
    if not torch.stack([parameter.isfinite().all() for parameter in learner.parameters]).all():
        raise diverged(run, learner.step)
    run.progress.lap()
    adapter = run.checkpoints / f"step-{learner.step}.safetensors"
    if PartialState().is_main_process:
        progress = {"seconds": run.progress.seconds, "losses": list(run.progress.losses)}
        save_checkpoint(
            run.checkpoints,
            learner.step,
            learner.state(),
            {**run.metadata, **progress},
            save_adapter=lambda path: save_adapter(run, path),
            keep=run.recipe.keep_checkpoints,
        )
    PartialState().wait_for_everyone()
    run.emit(Saved(step=learner.step, path=adapter))
    return adapter


def save_adapter(run: TrainingRun, path: Path, **more: object) -> None:
    """Write the adapter with the averaged weights, with `more` metadata. Raises ModelError."""
    learner, names = run.learner, run.names
    with learner.averaged():
        save(
            path,
            run.frozen.unet,
            learner.projection,
            title=names.title,
            base=names.base,
            clap=names.clap,
            training={
                "step": learner.step,
                "pairs": len(run.training),
                **({"captions": True} if run.captions else {}),
                "init": run.metadata["init"],
                **names.extras,
                **asdict(run.recipe),
                **more,
            },
            empty_prompt=run.recipe.empty_prompt,
            base_mark=mark_of(run.frozen.config),
            clap_mark=names.clap_mark,
        )


def saved_hint(checkpoints: Path) -> str:
    """A hint on how to continue a training that stopped."""
    step = last_step(checkpoints)
    if step is None:
        return "No checkpoint was saved yet."
    return f"Run the same command with --resume to continue from step {step}."


def diverged(run: TrainingRun, step: int) -> TrainingError:
    """The error for weights or a loss that are not finite."""
    return TrainingError(
        f"The training diverged: the loss of step {step} is not finite.",
        hint=f"{saved_hint(run.checkpoints)} To avoid this, start again with a lower "
        "--learning-rate or with --dtype fp32.",
    )
