"""The steps of a training, and what is done between them: judging, painting, saving."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

from covergen.core.errors import Interrupted, TrainingError
from covergen.core.seeds import seed_for
from covergen.core.types import Sampling
from covergen.diffusion.adapter import inspect, save
from covergen.diffusion.base_config import mark_of
from covergen.diffusion.painter import Painter
from covergen.training.checkpoints import save_checkpoint
from covergen.training.denoising import denoising_losses, draw, make_tokens
from covergen.training.events import LOSSES_TOGETHER, Emit, Sampled, Saved, StepDone, Validated
from covergen.training.examples import Pairs
from covergen.training.frozen import Frozen
from covergen.training.learner import Learner, sum_processes
from covergen.training.output import last_step
from covergen.training.recipe import Recipe
from covergen.training.sheet import SAMPLES, paint_sheet

__all__ = [
    "Names",
    "Progress",
    "Run",
    "judge",
    "make_steps",
    "save_adapter",
    "saved_hint",
    "steps_ahead",
]

# What randomness is for, so that no two purposes share any.
_STEPS, _ORDER, _VALIDATION = range(3)

_VALIDATED_PAIRS = 256
_DRAWS_PER_PAIR = 4  # one time step says little about a pair
_SHOWN_PAIRS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the adapter file says of itself: its title, and the models it was trained with."""

    title: str
    base: str
    clap: str


@dataclass(slots=True, kw_only=True)
class Progress:
    """How long a training has taken by now, and the losses of its last steps."""

    seconds: float = 0.0
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=LOSSES_TOGETHER))
    lap_began: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        """The seconds since the last lap."""
        now = time.monotonic()
        passed, self.lap_began = now - self.lap_began, now
        self.seconds += passed
        return passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training under way.

    `training` and `held` are numbers of `pairs`. `latent_shape`: (C, h, w). `said` is what every
    checkpoint says of the training.
    """

    output: Path
    names: Names
    recipe: Recipe
    frozen: Frozen
    learner: Learner
    pairs: Pairs
    training: NDArray[np.intp]
    held: NDArray[np.intp]
    latent_shape: Sequence[int]
    sampling: Sampling
    progress: Progress
    said: Mapping[str, Any]
    tell: Emit
    checkpoint: Callable[[], None]

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        return self.frozen.device

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.output / "checkpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A step that the device may still be busy with.

    `figures`: its loss, and how many processes were asked to stop.
    """

    step: int
    pairs: int
    rate: float
    figures: Tensor


def make_steps(run: Run) -> None:
    """Make all steps, and judge between them. On Interrupted, the state is saved first.

    Raises TrainingError where the training diverges, and what `save_state` raises.
    """
    learner = run.learner
    ahead = steps_ahead(run.device)
    waiting: deque[_Made] = deque()
    run.progress.lap()
    run.frozen.unet.train()
    try:
        if learner.step and _is_due(run):
            judge(run)  # which may have been what was interrupted
        while learner.step < learner.steps:
            waiting.append(_make_step(run))
            due = _is_due(run)
            while len(waiting) > (0 if due else ahead):
                if _report(run, waiting.popleft()):
                    raise Interrupted
            if due:
                judge(run)
        while waiting:
            _report(run, waiting.popleft())
    except Interrupted:
        while waiting:
            _report(run, waiting.popleft())
        save_state(run)
        raise


def judge(run: Run) -> float | None:
    """Do what is due after this step: save, validate, paint; returns the validation's loss."""
    recipe, step = run.recipe, run.learner.step
    last = step == run.learner.steps
    sampled = recipe.sample_every is not None and (last or _divides(recipe.sample_every, step))
    loss = None
    if last or sampled or _divides(_checkpoint_steps(run), step):
        adapter = save_state(run)
    if len(run.held) and (last or _divides(recipe.validate_every, step)):
        loss = _validate(run)
        run.tell(Validated(step=step, loss=loss))
    if sampled:
        _sample(run, adapter)
    run.progress.lap()
    return loss


def save_state(run: Run) -> Path:
    """Save a checkpoint; returns its adapter.

    Raises TrainingError for weights that are no numbers, and ModelError or OSError where it cannot
    be written.
    """
    learner = run.learner
    if not torch.stack([parameter.isfinite().all() for parameter in learner.parameters]).all():
        raise _diverged(run, learner.step)
    run.progress.lap()
    adapter = run.checkpoints / f"step-{learner.step}.safetensors"
    if PartialState().is_main_process:
        said = dict(run.said, seconds=run.progress.seconds, losses=list(run.progress.losses))
        save_checkpoint(
            run.checkpoints,
            learner.step,
            learner.state(),
            said,
            save_adapter=lambda path: save_adapter(run, path),
            keep=run.recipe.keep_checkpoints,
        )
    PartialState().wait_for_everyone()
    run.tell(Saved(step=learner.step, path=adapter))
    return adapter


def save_adapter(run: Run, path: Path) -> None:
    """Write the adapter as it paints: with the averaged weights. Raises ModelError."""
    learner, names = run.learner, run.names
    with learner.averaged():
        save(
            path,
            run.frozen.unet,
            learner.projection,
            title=names.title,
            base=names.base,
            clap=names.clap,
            training={"step": learner.step, "pairs": len(run.training), **asdict(run.recipe)},
            empty_prompt=run.recipe.empty_prompt,
            base_mark=mark_of(run.frozen.config),
        )


def saved_hint(checkpoints: Path) -> str:
    """What a training that stopped has saved, and what can be done with it."""
    step = last_step(checkpoints)
    if step is None:
        return "No step was saved yet."
    return f"Saved is step {step}: the same command with --resume goes on from there."


def steps_ahead(device: torch.device) -> int:
    """A GPU's step is looked at when the next is under way, so that it never waits for us."""
    return 1 if device.type == "cuda" else 0


def _make_step(run: Run) -> _Made:
    """Train on one batch: this process on its share of it, each pair with its own randomness."""
    recipe, learner, state = run.recipe, run.learner, PartialState()
    stop = _asked_to_stop(run)
    step, rate = learner.step, learner.rate
    picks = _batch(run, step)
    mine = range(state.process_index, len(picks), state.num_processes)
    together = math.ceil(recipe.batch_size / state.num_processes)
    figures = torch.tensor([0.0, stop], device=run.device)
    for start in range(0, len(mine), together):
        slots = mine[start : start + together]
        seeds = [(recipe.seed, _STEPS, step, slot) for slot in slots]
        losses = _losses(run, picks[slots], seeds, dropout=recipe.condition_dropout)
        loss = losses.sum() / len(picks)
        learner.backward(loss)
        figures[0] += loss.detach()
    learner.update()
    sum_processes([figures])
    return _Made(step=step + 1, pairs=len(picks), rate=rate, figures=figures)


def _asked_to_stop(run: Run) -> bool:
    """Whether the user wants to stop, where several processes must do so after the same step."""
    if PartialState().num_processes == 1:
        run.checkpoint()
        return False
    try:
        run.checkpoint()
    except Interrupted:
        return True
    return False


def _batch(run: Run, step: int) -> NDArray[np.intp]:
    """The numbers of a step's pairs; every epoch has its own order."""
    recipe = run.recipe
    epoch, part = divmod(step, recipe.steps_per_epoch(len(run.training)))
    order = np.random.default_rng([recipe.seed, _ORDER, epoch]).permutation(run.training)
    size = recipe.batch_size * recipe.accumulation
    return order[part * size : (part + 1) * size]


def _losses(
    run: Run, picks: NDArray[np.intp], seeds: Sequence[Sequence[int]], *, dropout: float
) -> Tensor:
    """The loss of each of some pairs: (B,)."""
    draws = draw(seeds, run.latent_shape, dropout=dropout, times=len(run.frozen.noise.signal))
    latents = run.pairs.latents(picks, draws.places)
    vectors = torch.from_numpy(run.pairs.vectors[picks]).to(run.device)
    tokens, mask = make_tokens(
        run.learner.projection, vectors, run.frozen.empty_prompt, draws.dropped
    )
    return denoising_losses(
        run.frozen.unet,
        run.frozen.config.vae,
        run.frozen.noise,
        latents,
        tokens,
        mask,
        draws,
        gamma=run.recipe.min_snr_gamma,
    )


def _report(run: Run, made: _Made) -> bool:
    """Tell of a step; whether a process was asked to stop. Raises TrainingError."""
    loss, stop = made.figures.tolist()
    if not math.isfinite(loss):
        raise _diverged(run, made.step)
    seconds = run.progress.lap()
    run.progress.losses.append(loss)
    run.tell(
        StepDone(
            step=made.step,
            steps=run.learner.steps,
            loss=loss,
            rate=made.rate,
            samples_per_second=made.pairs / seconds,
            seconds=run.progress.seconds,
        )
    )
    return bool(stop)


def _is_due(run: Run) -> bool:
    """Whether `judge` has anything to do after this step, which is not the last."""
    recipe, step = run.recipe, run.learner.step
    periods = (recipe.validate_every, recipe.sample_every, _checkpoint_steps(run))
    return step < run.learner.steps and any(_divides(period, step) for period in periods)


def _checkpoint_steps(run: Run) -> int:
    recipe = run.recipe
    epoch = recipe.steps_per_epoch(len(run.training))
    return recipe.checkpoint_every * (epoch if recipe.checkpoint_unit == "epochs" else 1)


def _divides(period: int | None, step: int) -> bool:
    return period is not None and step % period == 0


def _validate(run: Run) -> float:
    """The mean loss of pairs that are held back, always the same and with the same noise."""
    state, checkpoint = PartialState(), _own_checkpoint(run)
    judged = _spread(run.held, _VALIDATED_PAIRS)
    cases = [(pick, number) for pick in judged.tolist() for number in range(_DRAWS_PER_PAIR)]
    mine = cases[state.process_index :: state.num_processes]
    total = torch.zeros(1, device=run.device)
    with run.learner.averaged():
        for start in range(0, len(mine), run.recipe.batch_size):
            checkpoint()
            part = mine[start : start + run.recipe.batch_size]
            picks = np.array([pick for pick, _ in part])
            stems = [seed_for(run.pairs.stems[pick], 0) for pick in picks]
            seeds = [
                (run.recipe.seed, _VALIDATION, stem, number)
                for stem, (_, number) in zip(stems, part, strict=True)
            ]
            total += _losses(run, picks, seeds, dropout=0.0).sum()
    sum_processes([total])
    return float(total) / len(cases)


def _sample(run: Run, adapter: Path) -> None:
    """Paint what a checkpoint paints, by the weights that are at hand."""
    state, learner, step = PartialState(), run.learner, run.learner.step
    path = run.output / SAMPLES / f"step-{step}.png"
    if state.is_main_process:
        shown = _spread(run.held if len(run.held) else run.training, _SHOWN_PAIRS)
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
            paint_sheet(path, painter, run.pairs.vectors[shown], run.sampling, _own_checkpoint(run))
    state.wait_for_everyone()
    run.tell(Sampled(step=step, path=path))


def _spread(numbers: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most so many of them, from different albums as far as those lie apart."""
    return numbers[np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(np.intp)]


def _own_checkpoint(run: Run) -> Callable[[], None]:
    """None of several processes may leave what all of them must end together."""
    return run.checkpoint if PartialState().num_processes == 1 else lambda: None


def _diverged(run: Run, step: int) -> TrainingError:
    return TrainingError(
        f"The loss of step {step} is no finite number: the training has diverged.",
        hint=f"{saved_hint(run.checkpoints)} Better begin anew with a lower learning rate, or "
        "with --dtype fp32.",
    )
