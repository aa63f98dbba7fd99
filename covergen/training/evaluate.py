"""What is measured and painted between steps: the validation loss, and sample covers."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray

from covergen.core.seeds import seed_for
from covergen.diffusion.adapter_file import inspect
from covergen.diffusion.painter import Painter
from covergen.training.events import Sampled
from covergen.training.output_folder import BEST_ADAPTER
from covergen.training.report.sample_sheet import SAMPLES, paint_sheet
from covergen.training.save_state import save_adapter
from covergen.training.train_step import VALIDATION, pair_losses
from covergen.training.trainable_weights import sum_processes
from covergen.training.training_run import Best, TrainingRun

_MAX_VALIDATION_PAIRS = 256
_DRAWS_PER_PAIR = 4  # the loss of a single timestep is noisy
_SAMPLE_PAIRS = 8


def save_if_best(run: TrainingRun, loss: float) -> bool:
    """Save the adapter if its validation loss is the lowest so far; return whether it is."""
    best = run.progress.best
    if not math.isfinite(loss) or (best is not None and loss >= best.loss):
        return False
    path = run.output / BEST_ADAPTER
    if PartialState().is_main_process:
        save_adapter(run, path, validation_loss=loss)
    run.progress.best = Best(path=path, step=run.learner.step, loss=loss)
    return True


def validation_loss(run: TrainingRun) -> float:
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
                (run.recipe.seed, VALIDATION, stem, number)
                for stem, (_, number) in zip(stems, part, strict=True)
            ]
            total += pair_losses(run, indices, seeds, dropout=0.0).sum()
    sum_processes([total])
    return float(total) / len(cases)


def paint_samples(run: TrainingRun, adapter: Path) -> None:
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
