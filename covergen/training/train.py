"""Train an adapter on pairs: set up, resume, run the loop, save the result."""

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
from covergen.core.files import remove_stale
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
from covergen.training.frozen import Frozen, encode_captions, load_frozen
from covergen.training.latents import Encoder, from_pictures
from covergen.training.learner import Learner
from covergen.training.log import read_log
from covergen.training.loop import (
    AdapterNames,
    Progress,
    TrainingRun,
    checkpoint_and_evaluate,
    run_steps,
    save_adapter,
    saved_hint,
)
from covergen.training.output import ADAPTER, check_output
from covergen.training.recipe import Recipe
from covergen.training.record import Record
from covergen.training.sheet import SAMPLES

__all__ = ["AdapterNames", "Trained", "train"]

_SAMPLING = Sampling(steps=20, guidance=3.0, scheduler="dpm++")

# Settings that may change on resume, since they do not affect the weights. The resolved precision
# does, and is compared as "dtype".
_MAY_CHANGE = {
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
    """The result of a training. `loss`: mean of the last steps. `left_out`: unusable pairs."""

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
    names: AdapterNames,
    device: torch.device,
    emit: Emit,
    check_interrupted: Callable[[], None],
    resume: bool = False,
    strict: bool = False,
    initial: Mapping[str, Tensor] | None = None,
    sampling: Sampling = _SAMPLING,
) -> Trained:
    """Train an adapter for the base in folder `base`.

    Writes `adapter.safetensors`, `checkpoints/step-N.safetensors` with the state to resume from,
    `samples/step-N.png`, and `log.jsonl` with one event per line to `output`. `resume` continues
    from the last intact checkpoint with the same steps as without the interruption. `strict` stops
    at pairs that cannot be used. `initial` is the projection's initial state. `check_interrupted`
    is called before every step; if it raises, the state is saved before the exception is re-raised.

    Several processes, started by `accelerate launch`, share each batch; `device` then only selects
    between CPU and GPU. The first process emits the events.

    Raises TrainingError, ModelError, UsageError, and Interrupted.
    """
    state = PartialState(cpu=device.type == "cpu")
    check_output(output, resume=resume)
    frozen = load_frozen(base, recipe, state.device if state.num_processes > 1 else device)
    with _translate_errors(output):
        saved, damaged = _open_folder(output, resume=resume)
        step = saved.step if saved else 0
        with closing(Record(output, step, emit, first_process=state.is_main_process)) as record:
            for event in damaged:
                record(event)
            pairs, left_out = _read_pairs(examples, frozen, recipe, record, check_interrupted)
            _emit_left_out(pairs, left_out, record, strict=strict)
            training, validation = split(pairs, left_out, share=recipe.validation, seed=recipe.seed)
            learner = _make_learner(frozen, recipe, pairs, len(training), initial)
            used = np.concatenate([training, validation])
            metadata = _metadata(recipe, names, frozen, fingerprint(pairs, used))
            run = TrainingRun(
                output=output,
                names=names,
                recipe=recipe,
                frozen=frozen,
                learner=learner,
                pairs=pairs,
                training=training,
                validation=validation,
                latent_shape=pairs.latents(training[:1], np.zeros(1)).shape[2:],
                sampling=sampling,
                progress=_restore(learner, saved, metadata) if saved else Progress(),
                metadata=metadata,
                captions=encode_captions(frozen, recipe, pairs.captions, check_interrupted),
                emit=record,
                check_interrupted=check_interrupted,
            )
            return _finish(run, left_out=len(left_out))


def _metadata(
    recipe: Recipe, names: AdapterNames, frozen: Frozen, pairs_fingerprint: str
) -> dict[str, Any]:
    """What identifies a training in its checkpoints."""
    return {
        "recipe": asdict(recipe),
        "base": names.base,
        "clap": names.clap,
        "dtype": frozen.precision,
        "pairs": pairs_fingerprint,
    }


def _finish(run: TrainingRun, *, left_out: int) -> Trained:
    """Run the remaining steps and save the adapter; leave a finished training unchanged."""
    learner, adapter = run.learner, run.output / ADAPTER
    finished = learner.step == learner.steps and adapter.exists()
    PartialState().wait_for_everyone()  # all processes must check before the adapter is written
    run.emit(
        TrainingBegun(
            step=learner.step,
            steps=learner.steps,
            pairs=len(run.training),
            validation_pairs=len(run.validation),
            trainable=sum(parameter.numel() for parameter in learner.parameters),
            device=run.frozen.device_name,
            precision=run.frozen.precision,
            processes=PartialState().num_processes,
        )
    )
    if finished:
        validation_loss = _last_validation_loss(run.output)
    else:
        run_steps(run)
        validation_loss = checkpoint_and_evaluate(run)
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


def _last_validation_loss(output: Path) -> float | None:
    """The last validation loss in the log."""
    losses = [
        event.loss for event in read_log(output / "log.jsonl") if isinstance(event, Validated)
    ]
    return losses[-1] if losses else None


def _open_folder(
    output: Path, *, resume: bool
) -> tuple[Checkpoint | None, list[CheckpointDamaged]]:
    """Prepare the folder; return the checkpoint to resume from and the damaged ones after it."""
    checkpoints = output / "checkpoints"
    PartialState().wait_for_everyone()  # all processes must have checked the output
    checkpoints.mkdir(parents=True, exist_ok=True)
    if PartialState().is_main_process:
        for folder in (output, output / SAMPLES, checkpoints):
            remove_stale(folder)
    return find_checkpoint(checkpoints) if resume else (None, [])


def _read_pairs(
    examples: Sequence[Example] | Pairs,
    frozen: Frozen,
    recipe: Recipe,
    emit: Emit,
    check_interrupted: Callable[[], None],
) -> tuple[Pairs, dict[int, str]]:
    """Encode the pictures; return the pairs, and the reason for each unusable one by its index."""
    if isinstance(examples, Pairs):
        return examples, not_finite(examples.vectors)
    vectors = stack_vectors(examples)
    encoder = Encoder(vae=frozen.vae, size=frozen.size, crop=recipe.crop)
    paths = [example.image for example in examples]
    latents, unreadable = from_pictures(
        paths, encoder, cached=recipe.cached, emit=emit, check_interrupted=check_interrupted
    )
    pairs = Pairs(
        stems=[example.stem for example in examples],
        albums=[example.album for example in examples],
        vectors=vectors,
        latents=latents,
        captions=[example.caption for example in examples],
    )
    return pairs, unreadable | not_finite(vectors)


def _emit_left_out(pairs: Pairs, left_out: Mapping[int, str], emit: Emit, *, strict: bool) -> None:
    for index, reason in sorted(left_out.items()):
        emit(PairLeftOut(stem=pairs.stems[index], reason=reason))
    if left_out and strict:
        raise TrainingError(
            f"{len(left_out)} of {len(pairs.stems)} pairs cannot be used.",
            hint="Fix or remove them, or omit --strict.",
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


def _restore(learner: Learner, saved: Checkpoint, metadata: Mapping[str, Any]) -> Progress:
    """Load a checkpoint. Raises UsageError if its settings differ from the current ones."""
    before, now = dict(saved.metadata["recipe"]), dict(metadata["recipe"])
    changed = [
        f"{name} was {before.get(name)}, is {value}"
        for name, value in now.items()
        if name not in _MAY_CHANGE and before.get(name) != value
    ]
    changed += [
        f"{name} was {saved.metadata[name]}, is {metadata[name]}"
        for name in ("base", "clap", "dtype")
        if saved.metadata[name] != metadata[name]
    ]
    if saved.metadata["pairs"] != metadata["pairs"]:
        changed.append("the training pairs differ")
    if changed:
        raise UsageError(
            "\n  ".join(["Cannot resume: settings differ.", *changed]),
            hint="Use the original settings, or train in another folder.",
        )
    learner.restore(saved.tensors, saved.step)
    progress = Progress(seconds=saved.metadata["seconds"])
    progress.losses.extend(saved.metadata["losses"])
    return progress


@contextmanager
def _translate_errors(output: Path) -> Iterator[None]:
    """Translate failed writes and lack of memory to a TrainingError with a hint on resuming."""
    try:
        yield
    except ModelError as error:
        if error.hint:  # failed writes have none
            raise
        raise TrainingError(error.message, hint=saved_hint(output / "checkpoints")) from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            "Out of memory: a batch does not fit.",
            hint="Use a smaller --batch-size and more --accumulation, or --gradient-checkpointing. "
            + saved_hint(output / "checkpoints"),
        ) from error
    except BrokenPipeError:
        raise  # the reader of stdout is gone
    except OSError as error:
        raise TrainingError(
            f"{error.filename or output}: {error.strerror or error}.",
            hint=saved_hint(output / "checkpoints"),
        ) from error
