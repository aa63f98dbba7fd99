"""The training loop: steps, and evaluation and checkpoints between them."""

from collections import deque

import torch

from covergen.core.errors import Interrupted
from covergen.training.evaluate import paint_samples, save_if_best, validation_loss
from covergen.training.events import Validated
from covergen.training.save_state import save_state
from covergen.training.train_step import PendingStep, finish_step, fit_in_memory, train_step
from covergen.training.training_run import TrainingRun


def run_steps(run: TrainingRun) -> None:
    """Run the remaining steps. On Interrupted, save the state before raising it.

    Raises TrainingError if the training diverges, and what `save_state` raises.
    """
    learner = run.learner
    ahead = steps_ahead(run.device)
    waiting: deque[PendingStep] = deque()
    run.progress.lap()
    run.frozen.unet.train()
    try:
        if learner.step and _is_due(run):
            checkpoint_and_evaluate(run)  # it may have been interrupted before it finished
        while learner.step < learner.steps:
            waiting.append(train_step(run))
            due = _is_due(run)
            while len(waiting) > (0 if due else ahead):
                if finish_step(run, waiting.popleft()):
                    raise Interrupted
            if due:
                checkpoint_and_evaluate(run)
        while waiting:
            finish_step(run, waiting.popleft())
    except Interrupted:
        while waiting:
            finish_step(run, waiting.popleft())
        save_state(run)
        raise


def checkpoint_and_evaluate(run: TrainingRun) -> float | None:
    """Save, validate and sample, as due after this step; return the validation loss, if any."""
    recipe, step = run.recipe, run.learner.step
    last = step == run.learner.steps
    sampled = recipe.sample_every is not None and (last or _divides(recipe.sample_every, step))
    loss = None
    if last or sampled or _divides(_checkpoint_steps(run), step):
        adapter = save_state(run)
    if len(run.validation) and (last or _divides(recipe.validate_every, step)):
        loss = fit_in_memory(run, lambda: validation_loss(run))
        run.emit(Validated(step=step, loss=loss, best=save_if_best(run, loss)))
    if sampled:
        paint_samples(run, adapter)
    run.progress.lap()
    return loss


def steps_ahead(device: torch.device) -> int:
    """How many steps to queue before reading a result, so that a GPU never waits for Python."""
    return 1 if device.type == "cuda" else 0


def _is_due(run: TrainingRun) -> bool:
    """Whether `checkpoint_and_evaluate` has work to do; False for the last step."""
    recipe, step = run.recipe, run.learner.step
    periods = (recipe.validate_every, recipe.sample_every, _checkpoint_steps(run))
    return step < run.learner.steps and any(_divides(period, step) for period in periods)


def _checkpoint_steps(run: TrainingRun) -> int:
    recipe = run.recipe
    epoch = recipe.steps_per_epoch(len(run.training))
    return recipe.checkpoint_every * (epoch if recipe.checkpoint_unit == "epochs" else 1)


def _divides(period: int | None, step: int) -> bool:
    return period is not None and step % period == 0
