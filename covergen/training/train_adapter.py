"""Train an adapter on pairs: set up, resume, run the loop, save the result.

The output folder gets:

    adapter.safetensors                 the adapter
    adapter-best.safetensors            the one with the lowest validation loss
    checkpoints/step-N.safetensors      adapters, and the state to resume from
    samples/step-N.png                  sample covers
    log.jsonl                           one event per line
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from covergen.compute.memory import is_out_of_memory, release_cached
from covergen.core.atomic_write import remove_stale
from covergen.core.cover import Sampling
from covergen.core.errors import ModelError, TrainingError, UsageError
from covergen.diffusion.adapter_file import inspect
from covergen.diffusion.extra_lora import ExtraLora
from covergen.training.checkpoints import Checkpoint, find_checkpoint
from covergen.training.data.examples import (
    Example,
    Pairs,
    fingerprint,
    not_finite,
    split,
    stack_vectors,
)
from covergen.training.data.latents import Encoder, from_pictures
from covergen.training.events import CheckpointDamaged, Emit, PairLeftOut, TrainingBegun, Validated
from covergen.training.frozen_base import Frozen, encode_captions, load_frozen
from covergen.training.loop import checkpoint_and_evaluate, run_steps
from covergen.training.micro_batch import MicroBatch, choose_micro_batch
from covergen.training.output_folder import ADAPTER, BEST_ADAPTER, check_output
from covergen.training.recipe import Recipe
from covergen.training.report.event_record import Record
from covergen.training.report.log import read_log
from covergen.training.report.sample_sheet import SAMPLES
from covergen.training.save_state import save_adapter, saved_hint
from covergen.training.trainable_weights import Initial, Learner
from covergen.training.training_run import AdapterNames, Best, Progress, TrainingRun

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
    """The result of a training. `loss`: mean of the last steps. `left_out`: unusable pairs.

    `best`: the adapter with the lowest validation loss, None without validation.
    """

    adapter: Path
    best: Best | None
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
    initial: Initial | None = None,
    sampling: Sampling = _SAMPLING,
    loras: Sequence[ExtraLora] = (),
    vae: Path | None = None,
) -> Trained:
    """Train an adapter for the base in folder `base`, with `loras` merged into it.

    `vae` is the folder of a VAE to use in place of the base's. `resume` continues from the last
    intact checkpoint with the same steps as without the interruption. `strict` stops at pairs that
    cannot be used. `initial` replaces random initial weights. `check_interrupted` is called before
    every step; if it raises, the state is saved before the exception is re-raised.

    Several processes, started by `accelerate launch`, share each batch; `device` then only selects
    between CPU and GPU. The first process emits the events.

    Raises TrainingError, ModelError, UsageError, and Interrupted.
    """
    check_output(output, resume=resume)
    frozen = load_frozen(base, recipe, _own_device(device), loras=loras, vae=vae)
    with _translate_errors(output):
        saved, damaged = _open_folder(output, resume=resume)
        with closing(_open_record(output, saved, damaged, emit)) as record:
            pairs, left_out = _read_pairs(examples, frozen, recipe, record, check_interrupted)
            _emit_left_out(pairs, left_out, record, strict=strict)
            training, validation = split(pairs, left_out, share=recipe.validation, seed=recipe.seed)
            learner = _make_learner(frozen, recipe, pairs, len(training), initial)
            mark = fingerprint(pairs, np.concatenate([training, validation]))
            metadata = _metadata(recipe, names, frozen, mark, initial)
            latent_shape = pairs.latents(training[:1], np.zeros(1)).shape[2:]
            run = TrainingRun(
                output=output,
                names=names,
                recipe=recipe,
                frozen=frozen,
                learner=learner,
                pairs=pairs,
                training=training,
                validation=validation,
                latent_shape=latent_shape,
                sampling=sampling,
                progress=_restore(learner, saved, metadata, output) if saved else Progress(),
                micro_batch=_micro_batch(frozen, recipe, latent_shape),
                metadata=metadata,
                captions=encode_captions(frozen, recipe, pairs.captions, check_interrupted),
                emit=record,
                check_interrupted=check_interrupted,
            )
            return _finish(run, left_out=len(left_out))


def _own_device(device: torch.device) -> torch.device:
    state = PartialState(cpu=device.type == "cpu")
    return state.device if state.num_processes > 1 else device


def _metadata(
    recipe: Recipe,
    names: AdapterNames,
    frozen: Frozen,
    pairs_fingerprint: str,
    initial: Initial | None,
) -> dict[str, Any]:
    """What identifies a training in its checkpoints."""
    return {
        "recipe": asdict(recipe),
        "base": names.base,
        "clap": names.clap,
        "dtype": frozen.precision,
        "pairs": pairs_fingerprint,
        "init": initial.source if initial else "",
        **names.extras,
    }


def _micro_batch(frozen: Frozen, recipe: Recipe, latent_shape: Sequence[int]) -> MicroBatch:
    release_cached(frozen.device)  # what encoding the pictures has left
    processes = PartialState().num_processes
    return choose_micro_batch(recipe, frozen.unet, latent_shape, processes=processes)


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
            micro_batch=run.micro_batch.size,
            gradient_checkpointing=run.micro_batch.checkpointing,
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
        best=run.progress.best,
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


def _find_best(output: Path) -> Best | None:
    """The best adapter that an interrupted training has saved, from its metadata."""
    path = output / BEST_ADAPTER
    try:
        training = inspect(path).training
        return Best(path=path, step=training["step"], loss=training["validation_loss"])
    except (ModelError, KeyError):  # none yet, or damaged
        return None


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
    saved, damaged = find_checkpoint(checkpoints) if resume else (None, [])
    if saved is None and PartialState().is_main_process:
        (output / BEST_ADAPTER).unlink(missing_ok=True)  # of a training without a checkpoint
    return saved, damaged


def _open_record(
    output: Path, saved: Checkpoint | None, damaged: Sequence[CheckpointDamaged], emit: Emit
) -> Record:
    step = saved.step if saved else 0
    record = Record(output, step, emit, first_process=PartialState().is_main_process)
    for event in damaged:
        record(event)
    return record


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
    encoder = Encoder(vae=frozen.vae, size=frozen.size, crop=recipe.crop, flip=recipe.flip)
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
    initial: Initial | None,
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


def _restore(
    learner: Learner, saved: Checkpoint, metadata: Mapping[str, Any], output: Path
) -> Progress:
    """Load a checkpoint. Raises UsageError if its settings differ from the current ones."""
    # A setting that did not exist yet had the effect of today's default.
    before, now = asdict(Recipe()) | saved.metadata["recipe"], metadata["recipe"]
    changed = [
        f"{name} was {before[name]}, is {value}"
        for name, value in now.items()
        if name not in _MAY_CHANGE and before[name] != value
    ]
    changed += [
        f"{name} was {saved.metadata[name]}, is {metadata[name]}"
        for name in ("base", "clap", "dtype")
        if saved.metadata[name] != metadata[name]
    ]
    for name in ("init", "loras", "vae"):
        was, is_now = saved.metadata.get(name, ""), metadata.get(name, "")
        if was != is_now:
            changed.append(f"{name} was {was or 'none'}, is {is_now or 'none'}")
    if saved.metadata["pairs"] != metadata["pairs"]:
        changed.append("the training pairs differ")
    if changed:
        raise UsageError(
            "\n  ".join(["Cannot resume: settings differ.", *changed]),
            hint="Use the original settings, or train in another folder.",
        )
    learner.restore(saved.tensors, saved.step)
    progress = Progress(seconds=saved.metadata["seconds"], best=_find_best(output))
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
            "Out of memory: not even one pair fits.",
            hint="Close other programs that use the device, or train in another folder with a "
            "smaller --resolution or --dtype bf16. " + saved_hint(output / "checkpoints"),
        ) from error
    except BrokenPipeError:
        raise  # the reader of stdout is gone
    except OSError as error:
        raise TrainingError(
            f"{error.filename or output}: {error.strerror or error}.",
            hint=saved_hint(output / "checkpoints"),
        ) from error
