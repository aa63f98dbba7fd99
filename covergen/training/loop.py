"""The training loop: steps, and validation, samples and checkpoints between them."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

from covergen.compute.memory import is_out_of_memory, release_cached
from covergen.core.cover import Sampling
from covergen.core.errors import Interrupted, TrainingError
from covergen.core.seeds import seed_for
from covergen.diffusion.adapter import save
from covergen.diffusion.adapter_file import inspect
from covergen.diffusion.base_config import mark_of
from covergen.diffusion.painter import Painter
from covergen.training.checkpoints import save_checkpoint
from covergen.training.denoising import denoising_losses, draw, draw_captioned, make_tokens
from covergen.training.events import (
    LOSSES_TOGETHER,
    Emit,
    MicroBatchReduced,
    Sampled,
    Saved,
    StepDone,
    Validated,
)
from covergen.training.examples import Pairs
from covergen.training.frozen_base import Frozen
from covergen.training.micro_batch import MicroBatch
from covergen.training.output_folder import BEST_ADAPTER, last_step
from covergen.training.recipe import Recipe
from covergen.training.sample_sheet import SAMPLES, paint_sheet
from covergen.training.trainable_weights import Learner, sum_processes

# The purposes of random numbers, part of each seed so that their streams are independent.
_STEPS, _ORDER, _VALIDATION = range(3)

_MAX_VALIDATION_PAIRS = 256
_DRAWS_PER_PAIR = 4  # the loss of a single timestep is noisy
_SAMPLE_PAIRS = 8

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterNames:
    """The adapter's title and the names of what it is trained with, for the file's metadata.

    `loras` and `vae` are those of the model, "" for none and for the base's own.
    """

    title: str
    base: str
    clap: str
    loras: str = ""
    vae: str = ""

    @property
    def extras(self) -> dict[str, str]:
        """The names of the LoRAs and of the VAE, if there are any."""
        named = {"loras": self.loras, "vae": self.vae}
        return {kind: name for kind, name in named.items() if name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The adapter with the lowest validation loss so far."""

    path: Path
    step: int
    loss: float


@dataclass(slots=True, kw_only=True)
class Progress:
    """The training time so far, the losses of the last steps, and the best adapter, if any."""

    seconds: float = 0.0
    best: Best | None = None
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=LOSSES_TOGETHER))
    lap_start: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        """Add the seconds since the last lap to the total, and return them."""
        now = time.monotonic()
        elapsed, self.lap_start = now - self.lap_start, now
        self.seconds += elapsed
        return elapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """The state of a training.

    `training` and `validation` are indices into `pairs`. `latent_shape`: (C, h, w). `metadata`
    identifies the training in its checkpoints. `captions` are the encoded captions of the pairs.
    `check_interrupted` raises Interrupted to stop it.
    """

    output: Path
    names: AdapterNames
    recipe: Recipe
    frozen: Frozen
    learner: Learner
    pairs: Pairs
    training: NDArray[np.intp]
    validation: NDArray[np.intp]
    latent_shape: Sequence[int]
    sampling: Sampling
    progress: Progress
    micro_batch: MicroBatch
    metadata: Mapping[str, Any]
    captions: Mapping[str, Tensor]
    emit: Emit
    check_interrupted: Callable[[], None]

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return self.frozen.device

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.output / "checkpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingStep:
    """A step that the device may still be computing.

    `totals`: its loss, and the number of processes that were interrupted, as one tensor.
    """

    step: int
    pairs: int
    rate: float
    totals: Tensor


def run_steps(run: TrainingRun) -> None:
    """Run the remaining steps. On Interrupted, save the state before raising it.

    Raises TrainingError if the training diverges, and what `save_state` raises.
    """
    learner = run.learner
    ahead = steps_ahead(run.device)
    waiting: deque[_PendingStep] = deque()
    run.progress.lap()
    run.frozen.unet.train()
    try:
        if learner.step and _is_due(run):
            checkpoint_and_evaluate(run)  # it may have been interrupted before it finished
        while learner.step < learner.steps:
            waiting.append(_train_step(run))
            due = _is_due(run)
            while len(waiting) > (0 if due else ahead):
                if _finish_step(run, waiting.popleft()):
                    raise Interrupted
            if due:
                checkpoint_and_evaluate(run)
        while waiting:
            _finish_step(run, waiting.popleft())
    except Interrupted:
        while waiting:
            _finish_step(run, waiting.popleft())
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
        loss = _fit_in_memory(run, lambda: _validation_loss(run))
        run.emit(Validated(step=step, loss=loss, best=_save_if_best(run, loss)))
    if sampled:
        _sample(run, adapter)
    run.progress.lap()
    return loss


def save_state(run: TrainingRun) -> Path:
    """Save a checkpoint and return its adapter.

    Raises TrainingError if the weights are not finite, and ModelError or OSError if it cannot be
    written.
    """
    learner = run.learner
    if not torch.stack([parameter.isfinite().all() for parameter in learner.parameters]).all():
        raise _diverged(run, learner.step)
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
        )


def saved_hint(checkpoints: Path) -> str:
    """A hint on how to continue a training that stopped."""
    step = last_step(checkpoints)
    if step is None:
        return "No checkpoint was saved yet."
    return f"Run the same command with --resume to continue from step {step}."


def steps_ahead(device: torch.device) -> int:
    """How many steps to queue before reading a result, so that a GPU never waits for Python."""
    return 1 if device.type == "cuda" else 0


def _train_step(run: TrainingRun) -> _PendingStep:
    """Train on one batch; this process computes its share of the pairs."""
    learner, state = run.learner, PartialState()
    stop = _is_interrupted(run)
    step, rate = learner.step, learner.rate
    batch = _batch(run, step)
    own = range(state.process_index, len(batch), state.num_processes)
    loss = _fit_in_memory(run, lambda: _accumulate(run, batch, own))
    totals = torch.stack([loss, torch.full_like(loss, stop)])
    learner.update()
    sum_processes([totals])
    return _PendingStep(step=step + 1, pairs=len(batch), rate=rate, totals=totals)


def _accumulate(run: TrainingRun, batch: NDArray[np.intp], slots: Sequence[int]) -> Tensor:
    """Accumulate the gradients of the pairs in these `slots` of the batch; return their loss."""
    recipe, learner, size = run.recipe, run.learner, run.micro_batch.size
    total = torch.zeros((), device=run.device)
    for start in range(0, len(slots), size):
        part = slots[start : start + size]
        seeds = [(recipe.seed, _STEPS, learner.step, slot) for slot in part]
        losses = _losses(run, batch[part], seeds, dropout=recipe.condition_dropout)
        loss = losses.sum() / len(batch)
        learner.backward(loss)
        total += loss.detach()
    return total


def _fit_in_memory(run: TrainingRun, compute: Callable[[], _Result]) -> _Result:
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
    order = np.random.default_rng([recipe.seed, _ORDER, epoch]).permutation(run.training)
    size = recipe.batch_size * recipe.accumulation
    return order[part * size : (part + 1) * size]


def _losses(
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


def _finish_step(run: TrainingRun, pending: _PendingStep) -> bool:
    """Wait for a step and emit it; return whether any process was interrupted.

    Raises TrainingError if its loss is not finite.
    """
    loss, stop = pending.totals.tolist()
    if not math.isfinite(loss):
        raise _diverged(run, pending.step)
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


def _save_if_best(run: TrainingRun, loss: float) -> bool:
    """Save the adapter if its validation loss is the lowest so far; return whether it is."""
    best = run.progress.best
    if not math.isfinite(loss) or (best is not None and loss >= best.loss):
        return False
    path = run.output / BEST_ADAPTER
    if PartialState().is_main_process:
        save_adapter(run, path, validation_loss=loss)
    run.progress.best = Best(path=path, step=run.learner.step, loss=loss)
    return True


def _validation_loss(run: TrainingRun) -> float:
    """The mean loss on a fixed set of validation pairs with fixed noise."""
    state, check_interrupted = PartialState(), _own_interruption(run)
    chosen = _evenly_spaced(run.validation, _MAX_VALIDATION_PAIRS)
    cases = [(index, number) for index in chosen.tolist() for number in range(_DRAWS_PER_PAIR)]
    own = cases[state.process_index :: state.num_processes]
    total = torch.zeros(1, device=run.device)
    with run.learner.averaged():
        for start in range(0, len(own), run.micro_batch.size):
            check_interrupted()
            part = own[start : start + run.micro_batch.size]
            indices = np.array([index for index, _ in part])
            stems = [seed_for(run.pairs.stems[index], 0) for index in indices]
            seeds = [
                (run.recipe.seed, _VALIDATION, stem, number)
                for stem, (_, number) in zip(stems, part, strict=True)
            ]
            total += _losses(run, indices, seeds, dropout=0.0).sum()
    sum_processes([total])
    return float(total) / len(cases)


def _sample(run: TrainingRun, adapter: Path) -> None:
    """Paint the sample sheet of a checkpoint with the weights in memory."""
    state, learner, step = PartialState(), run.learner, run.learner.step
    path = run.output / SAMPLES / f"step-{step}.png"
    if state.is_main_process:
        pairs = run.validation if len(run.validation) else run.training
        chosen = _evenly_spaced(pairs, _SAMPLE_PAIRS)
        with learner.averaged():
            painter = Painter(
                config=run.frozen.config,
                adapter=inspect(adapter),
                unet=run.frozen.unet,
                vae=run.frozen.vae,
                projection=learner.projection,
                unconditional=run.frozen.empty_prompt,
                styles={},
                device=run.device,
                dtype=run.frozen.unet.conv_in.weight.dtype,
            )
            vectors = run.pairs.vectors[chosen]
            paint_sheet(path, painter, vectors, run.sampling, _own_interruption(run))
    state.wait_for_everyone()
    run.emit(Sampled(step=step, path=path))


def _evenly_spaced(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Choose at most `count` evenly spaced indices, so that they come from different albums."""
    return indices[np.linspace(0, len(indices) - 1, min(count, len(indices))).astype(np.intp)]


def _own_interruption(run: TrainingRun) -> Callable[[], None]:
    """The interruption check for code that several processes must finish together: none then."""
    return run.check_interrupted if PartialState().num_processes == 1 else lambda: None


def _diverged(run: TrainingRun, step: int) -> TrainingError:
    return TrainingError(
        f"The training diverged: the loss of step {step} is not finite.",
        hint=f"{saved_hint(run.checkpoints)} To avoid this, start again with a lower "
        "--learning-rate or with --dtype fp32.",
    )
