"""One step of a training: the loss of a batch, its gradients, and the update."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

from covergen.compute.memory import is_out_of_memory, release_cached
from covergen.core.errors import Interrupted
from covergen.training.denoising import denoising_losses, draw, draw_captioned, make_tokens
from covergen.training.events import MicroBatchReduced, StepDone
from covergen.training.save_state import diverged
from covergen.training.trainable_weights import sum_processes
from covergen.training.training_run import TrainingRun

# The purposes of random numbers, part of each seed so that their streams are independent.
STEPS, ORDER, VALIDATION = range(3)

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingStep:
    """A step that the device may still be computing.

    `totals`: its loss, and the number of processes that were interrupted, as one tensor.
    """

    step: int
    pairs: int
    rate: float
    totals: Tensor


def train_step(run: TrainingRun) -> PendingStep:
    """Train on one batch; this process computes its share of the pairs."""
    learner, state = run.learner, PartialState()
    stop = _is_interrupted(run)
    step, rate = learner.step, learner.rate
    batch = _batch(run, step)
    own = range(state.process_index, len(batch), state.num_processes)
    loss = fit_in_memory(run, lambda: _accumulate(run, batch, own))
    totals = torch.stack([loss, torch.full_like(loss, stop)])
    learner.update()
    sum_processes([totals])
    return PendingStep(step=step + 1, pairs=len(batch), rate=rate, totals=totals)


def _accumulate(run: TrainingRun, batch: NDArray[np.intp], slots: Sequence[int]) -> Tensor:
    """Accumulate the gradients of the pairs in these `slots` of the batch; return their loss."""
    recipe, learner, size = run.recipe, run.learner, run.micro_batch.size
    total = torch.zeros((), device=run.device)
    for start in range(0, len(slots), size):
        part = slots[start : start + size]
        seeds = [(recipe.seed, STEPS, learner.step, slot) for slot in part]
        losses = pair_losses(run, batch[part], seeds, dropout=recipe.condition_dropout)
        loss = losses.sum() / len(batch)
        learner.backward(loss)
        total += loss.detach()
    return total


def fit_in_memory(run: TrainingRun, compute: Callable[[], _Result]) -> _Result:
    """Call `compute`, again with smaller micro-batches if it runs out of memory.

    Gradients from before are discarded, so a repeated step is the same up to rounding.
    """
    while True:
        try:
            return compute()
        except RuntimeError as error:
            if not is_out_of_memory(error) or not run.micro_batch.reduce():
                raise
        run.learner.discard()
        release_cached(run.device)
        run.emit(
            MicroBatchReduced(
                step=run.learner.step,
                micro_batch=run.micro_batch.size,
                gradient_checkpointing=run.micro_batch.checkpointing,
            )
        )


def _is_interrupted(run: TrainingRun) -> bool:
    """Raise Interrupted in a single process; return it as a flag if several must stop together."""
    if PartialState().num_processes == 1:
        run.check_interrupted()
        return False
    try:
        run.check_interrupted()
    except Interrupted:
        return True
    return False


def _batch(run: TrainingRun, step: int) -> NDArray[np.intp]:
    """The pairs of a step; every epoch is shuffled differently."""
    recipe = run.recipe
    epoch, part = divmod(step, recipe.steps_per_epoch(len(run.training)))
    order = np.random.default_rng([recipe.seed, ORDER, epoch]).permutation(run.training)
    size = recipe.batch_size * recipe.accumulation
    return order[part * size : (part + 1) * size]


def pair_losses(
    run: TrainingRun, indices: NDArray[np.intp], seeds: Sequence[Sequence[int]], *, dropout: float
) -> Tensor:
    """Compute the loss of each pair: (B,)."""
    schedule = run.frozen.schedule
    timesteps = len(schedule.alphas_cumprod)
    draws = draw(seeds, run.latent_shape, dropout=dropout, timesteps=timesteps)
    run.learner.dropout.seed(draws.dropout_seeds)
    latents = run.pairs.latents(indices, draws.positions)
    vectors = torch.from_numpy(run.pairs.vectors[indices]).to(run.device)
    tokens, mask = make_tokens(
        run.learner.projection,
        vectors,
        run.frozen.empty_prompt,
        draws.dropped,
        _captions(run, indices, seeds),
    )
    return denoising_losses(
        run.frozen.unet,
        run.frozen.config.vae,
        schedule,
        latents,
        tokens,
        mask,
        draws,
        gamma=run.recipe.min_snr_gamma,
    )


def _captions(
    run: TrainingRun, indices: NDArray[np.intp], seeds: Sequence[Sequence[int]]
) -> list[Tensor | None]:
    """The encoded captions of pairs, None for those without one or trained without it."""
    if not run.captions:
        return []
    used = zip(indices.tolist(), draw_captioned(seeds), strict=True)
    return [run.captions.get(run.pairs.captions[i]) if chosen else None for i, chosen in used]


def finish_step(run: TrainingRun, pending: PendingStep) -> bool:
    """Wait for a step and emit it; return whether any process was interrupted.

    Raises TrainingError if its loss is not finite.
    """
    loss, stop = pending.totals.tolist()
    if not math.isfinite(loss):
        raise diverged(run, pending.step)
    seconds = run.progress.lap()
    run.progress.losses.append(loss)
    run.emit(
        StepDone(
            step=pending.step,
            steps=run.learner.steps,
            loss=loss,
            rate=pending.rate,
            samples_per_second=pending.pairs / seconds,
            seconds=run.progress.seconds,
        )
    )
    return bool(stop)
