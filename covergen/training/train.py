"""Pairs to an adapter: the training, from what it is given to the file that comes out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor

from covergen.compute.memory import is_out_of_memory
from covergen.core.errors import ModelError, TrainingError, UsageError
from covergen.core.types import Sampling
from covergen.training.checkpoints import Checkpoint, find_checkpoint
from covergen.training.events import (
    CheckpointDamaged,
    Emit,
    PairLeftOut,
    TrainingBegun,
    Validated,
)
from covergen.training.examples import (
    Example,
    Pairs,
    fingerprint,
    not_finite,
    split,
    stack_vectors,
)
from covergen.training.frozen import Frozen, load_frozen
from covergen.training.latents import Encoder, from_pictures
from covergen.training.learner import Learner
from covergen.training.log import read_log
from covergen.training.loop import Names, Progress, Run, judge, make_steps, save_adapter, saved_hint
from covergen.training.output import ADAPTER, check_output
from covergen.training.recipe import Recipe
from covergen.training.record import Record
from covergen.training.sheet import SAMPLES

__all__ = ["Names", "Trained", "train"]

_SAMPLING = Sampling(steps=20, guidance=3.0, scheduler="dpm++")

# What may change when a training goes on: no weight depends on it, and on the precision none but
# by what it comes to.
_FREE = {
    "checkpoint_every",
    "checkpoint_unit",
    "gradient_checkpointing",
    "keep_checkpoints",
    "precision",
    "sample_every",
    "validate_every",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What came out. `loss` is the mean of the last steps, `validation_loss` None without one."""

    adapter: Path
    steps: int
    loss: float
    validation_loss: float | None
    seconds: float
    left_out: int


def train(
    base: Path,
    examples: Sequence[Example] | Pairs,
    recipe: Recipe,
    output: Path,
    *,
    names: Names,
    device: torch.device,
    emit: Emit,
    checkpoint: Callable[[], None],
    resume: bool = False,
    strict: bool = False,
    initial: Mapping[str, Tensor] | None = None,
    sampling: Sampling = _SAMPLING,
) -> Trained:
    """Train an adapter for the base in folder `base`.

    `output` gets `adapter.safetensors`, `checkpoints/step-N.safetensors` with their resume state,
    `samples/step-N.png`, and `log.jsonl`: a line for every event. `resume` goes on from its last
    whole checkpoint, with the very steps that would have followed. `strict` stops at a pair that
    cannot be used. `initial` is the state that the projection starts from. `checkpoint` is called
    before every step; what it raises is raised again when the state is saved.

    Started by `accelerate launch` in several processes, these share every batch; `device` then only
    says whether that is the CPU. Events come from the first.

    Raises TrainingError, ModelError, UsageError, and Interrupted.
    """
    state = PartialState(cpu=device.type == "cpu")
    check_output(output, resume=resume)
    frozen = load_frozen(base, recipe, state.device if state.num_processes > 1 else device)
    with _translated(output):
        found, damaged = _open_folder(output, resume=resume)
        step = found.step if found else 0
        tell = Record(output, step, emit, first_process=state.is_main_process)
        with closing(tell):
            for event in damaged:
                tell(event)
            pairs, left_out = _read_pairs(examples, frozen, recipe, tell, checkpoint)
            _tell_left_out(pairs, left_out, tell, strict=strict)
            training, held = split(pairs, left_out, share=recipe.validation, seed=recipe.seed)
            learner = _make_learner(frozen, recipe, pairs, len(training), initial)
            said = {
                "recipe": asdict(recipe),
                "base": names.base,
                "clap": names.clap,
                "dtype": frozen.precision,
                "pairs": fingerprint(pairs, np.concatenate([training, held])),
            }
            run = Run(
                output=output,
                names=names,
                recipe=recipe,
                frozen=frozen,
                learner=learner,
                pairs=pairs,
                training=training,
                held=held,
                latent_shape=pairs.latents(training[:1], np.zeros(1)).shape[2:],
                sampling=sampling,
                progress=_restore(learner, found, said) if found else Progress(),
                said=said,
                tell=tell,
                checkpoint=checkpoint,
            )
            return _finish(run, left_out=len(left_out))


def _finish(run: Run, *, left_out: int) -> Trained:
    """Make the steps that are left, and the adapter; a finished training stays as it is."""
    learner, adapter = run.learner, run.output / ADAPTER
    finished = learner.step == learner.steps and adapter.exists()
    PartialState().wait_for_everyone()  # until all of them have looked
    run.tell(
        TrainingBegun(
            step=learner.step,
            steps=learner.steps,
            pairs=len(run.training),
            validation_pairs=len(run.held),
            trainable=sum(parameter.numel() for parameter in learner.parameters),
            device=run.frozen.device_name,
            precision=run.frozen.precision,
            processes=PartialState().num_processes,
        )
    )
    if finished:
        validation_loss = _judged(run.output)
    else:
        make_steps(run)
        validation_loss = judge(run)
        if PartialState().is_main_process:
            save_adapter(run, adapter)
    losses = run.progress.losses
    return Trained(
        adapter=adapter,
        steps=learner.step,
        loss=sum(losses) / len(losses),
        validation_loss=validation_loss,
        seconds=run.progress.seconds,
        left_out=left_out,
    )


def _judged(output: Path) -> float | None:
    """The last loss of the pairs held back in a training's log."""
    losses = [
        event.loss for event in read_log(output / "log.jsonl") if isinstance(event, Validated)
    ]
    return losses[-1] if losses else None


def _open_folder(
    output: Path, *, resume: bool
) -> tuple[Checkpoint | None, list[CheckpointDamaged]]:
    """Where to go on from, if anywhere, and the later checkpoints that are not whole."""
    checkpoints = output / "checkpoints"
    PartialState().wait_for_everyone()  # until all of them have looked
    checkpoints.mkdir(parents=True, exist_ok=True)
    if PartialState().is_main_process:
        for place in (output, output / SAMPLES, checkpoints):
            for half_written in place.glob(".covergen-*.part"):
                half_written.unlink()
    return find_checkpoint(checkpoints) if resume else (None, [])


def _read_pairs(
    examples: Sequence[Example] | Pairs,
    frozen: Frozen,
    recipe: Recipe,
    tell: Emit,
    checkpoint: Callable[[], None],
) -> tuple[Pairs, dict[int, str]]:
    """The pairs, and why some cannot be used, by their numbers."""
    if isinstance(examples, Pairs):
        return examples, not_finite(examples.vectors)
    vectors = stack_vectors(examples)
    encoder = Encoder(vae=frozen.vae, size=frozen.size, crop=recipe.crop)
    paths = [example.image for example in examples]
    latents, unreadable = from_pictures(
        paths, encoder, cached=recipe.cached, emit=tell, checkpoint=checkpoint
    )
    pairs = Pairs(
        stems=[example.stem for example in examples],
        albums=[example.album for example in examples],
        vectors=vectors,
        latents=latents,
    )
    return pairs, unreadable | not_finite(vectors)


def _tell_left_out(pairs: Pairs, left_out: Mapping[int, str], tell: Emit, *, strict: bool) -> None:
    for number, reason in sorted(left_out.items()):
        tell(PairLeftOut(stem=pairs.stems[number], reason=reason))
    if left_out and strict:
        raise TrainingError(
            f"{len(left_out)} of {len(pairs.stems)} pairs cannot be used.",
            hint="Mend them or take them away, or leave out --strict.",
        )


def _make_learner(
    frozen: Frozen,
    recipe: Recipe,
    pairs: Pairs,
    training: int,
    initial: Mapping[str, Tensor] | None,
) -> Learner:
    return Learner(
        frozen.unet,
        recipe,
        d_audio=pairs.vectors.shape[1],
        tokens=recipe.count_tokens(frozen.empty_prompt.shape[1]),
        steps=recipe.steps(training),
        scaled=frozen.precision == "fp16",
        initial=initial,
    )


def _restore(learner: Learner, found: Checkpoint, said: Mapping[str, Any]) -> Progress:
    """Go back to a checkpoint. Raises UsageError where the training is another one now."""
    before, now = dict(found.said["recipe"]), dict(said["recipe"])
    changed = [
        f"{name} was {before.get(name)}, is {value}"
        for name, value in now.items()
        if name not in _FREE and before.get(name) != value
    ]
    changed += [
        f"{name} was {found.said[name]}, is {said[name]}"
        for name in ("base", "clap", "dtype")
        if found.said[name] != said[name]
    ]
    if found.said["pairs"] != said["pairs"]:
        changed.append("the pairs are others")
    if changed:
        raise UsageError(
            "\n  ".join(["The training was begun otherwise:", *changed]),
            hint="Go on with what it was begun with, or train anew into another folder.",
        )
    learner.restore(found.tensors, found.step)
    progress = Progress(seconds=found.said["seconds"])
    progress.losses.extend(found.said["losses"])
    return progress


@contextmanager
def _translated(output: Path) -> Iterator[None]:
    """What the system refuses, as one TrainingError that says what is saved."""
    try:
        yield
    except ModelError as error:
        if error.hint:  # what cannot be written has none of its own
            raise
        raise TrainingError(error.message, hint=saved_hint(output / "checkpoints")) from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            "A batch does not fit into memory.",
            hint="Choose a smaller batch and more accumulation, or gradient checkpointing. "
            + saved_hint(output / "checkpoints"),
        ) from error
    except BrokenPipeError:
        raise  # nobody listens any more
    except OSError as error:
        raise TrainingError(
            f"{error.filename or output}: {error.strerror or error}.",
            hint=saved_hint(output / "checkpoints"),
        ) from error
