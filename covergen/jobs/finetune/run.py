"""Train an adapter on a dataset: embed, train, write the report, and save it as a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import PartialState

from covergen.audio.clap import AudioEncoder
from covergen.audio.clap_folder import read_clap_folder
from covergen.compute.device import choose_compute, worker_count
from covergen.core.errors import Interrupted, SettingsError, TrainingError
from covergen.diffusion.base_config import read_config
from covergen.diffusion.extra_lora import read_lora
from covergen.diffusion.load_base import count_too_long
from covergen.jobs.finetune.examples import make_examples
from covergen.jobs.finetune.preflight import nothing_to_train_on
from covergen.jobs.finetune.starting_point import starting_point
from covergen.journal.lock import library_lock
from covergen.library.writing.change import file_hash
from covergen.models.presets import lora_texts
from covergen.models.save_preset import save_preset
from covergen.models.sources import anchored
from covergen.pipeline.events import CheckInterrupted, GpuUnused
from covergen.training.data.examples import is_held
from covergen.training.disk_space import disk_bytes
from covergen.training.events import PairLeftOut
from covergen.training.optimizer import check_optimizer
from covergen.training.report.report_page import write_report
from covergen.training.train_adapter import train
from covergen.training.training_run import AdapterNames

if TYPE_CHECKING:
    from covergen.compute.device import Compute
    from covergen.diffusion.extra_lora import ExtraLora
    from covergen.jobs.finetune.examples import LeaveOut, PairEmbedded
    from covergen.jobs.finetune.preflight import Checked, FinetuneOptions
    from covergen.training.data.examples import Example
    from covergen.training.events import Event
    from covergen.training.recipe import Recipe
    from covergen.training.train_adapter import Trained
    from covergen.training.trainable_weights import Initial


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunePlan:
    """What would be trained.

    Of the `pairs`, `held_back` are for validation and `to_embed` have no embedding yet.
    `continues`: training starts from an adapter, the model's own or that of --init. `disk_bytes`
    estimates what is written. `long_captions` have more tokens than the text encoder reads.
    `left_out` has a reason for each file that is not in a pair.
    """

    pairs: int
    held_back: int
    albums: int
    to_embed: int
    steps: int
    continues: bool
    disk_bytes: int
    long_captions: int
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuned:
    """The result. `models_file` is the file that defines the new model, None without one."""

    trained: Trained
    report: Path
    models_file: Path | None


def plan_finetune(checked: Checked) -> FinetunePlan:
    """Plan a training. Raises ModelError, and TrainingError if every pair is held back."""
    dataset = checked.dataset
    _read_loras(checked)
    recipe, initial = starting_point(checked)
    held_back = sum(is_held(pair.album, recipe.validation, recipe.seed) for pair in dataset.pairs)
    trained_on = len(dataset.pairs) - held_back
    if not trained_on:
        raise nothing_to_train_on(checked.options)
    steps = recipe.steps(trained_on)
    config = read_config(checked.base, checked.vae)
    return FinetunePlan(
        pairs=len(dataset.pairs),
        held_back=held_back,
        albums=len(dataset.albums),
        to_embed=sum(pair.embedding is None for pair in dataset.pairs),
        steps=steps,
        continues=initial is not None,
        disk_bytes=disk_bytes(
            config,
            recipe,
            d_audio=read_clap_folder(checked.clap).dimension,
            pairs=len(dataset.pairs),
            validation_pairs=held_back,
            steps=steps,
        ),
        long_captions=count_too_long(config, [pair.caption for pair in dataset.pairs]),
        left_out=checked.left_out,
    )


def finetune(
    checked: Checked,
    emit: Callable[[Event | PairEmbedded | GpuUnused], None],
    check_interrupted: CheckInterrupted,
) -> Finetuned | None:
    """Train an adapter for the preset's base, write its report, and optionally save it as a model.

    Processes started by `accelerate launch` share the work; only the first one emits events and
    returns the result. Raises TrainingError, ModelError, UsageError, and Interrupted if
    `check_interrupted` raises it, after saving a checkpoint.
    """
    options = checked.options
    recipe, initial = starting_point(checked)
    loras, names = _read_loras(checked), _names(checked)
    compute = choose_compute(options.device, options.dtype)
    check_optimizer(recipe.optimizer, compute.device)
    emit = emit if os.environ.get("RANK", "0") == "0" else lambda _: None
    if compute.unused:
        emit(GpuUnused(why=compute.unused))
    left_out = _LeftOut(emit, strict=options.strict)
    for name, reason in checked.left_out.items():
        left_out.add(name, reason)
    examples = _examples(checked, compute, left_out.add, emit, check_interrupted)
    # Only now: embedding may take longer than the timeout of a process group.
    state = PartialState(cpu=compute.device.type == "cpu")
    lock = library_lock("finetune", (options.output,))
    try:
        with lock if state.is_main_process else nullcontext():
            trained = train(
                checked.base,
                examples,
                recipe,
                options.output,
                names=names,
                device=compute.device,
                emit=emit,
                check_interrupted=check_interrupted,
                resume=options.resume,
                strict=options.strict,
                initial=initial,
                sampling=options.preset.sampling,
                loras=loras,
                vae=checked.vae,
            )
    except Interrupted:
        if state.is_main_process:
            _report(options, recipe, names, initial, left_out)
        raise
    if not state.is_main_process:
        return None
    report = _report(options, recipe, names, initial, left_out)
    return Finetuned(trained=trained, report=report, models_file=_save(options, trained.adapter))


class _LeftOut:
    """The reasons for pairs and files that are not used. With `strict`, there may be none."""

    def __init__(self, emit: Callable[[PairLeftOut], None], *, strict: bool) -> None:
        self.reasons: dict[str, str] = {}
        self._emit = emit
        self._strict = strict

    def add(self, name: str, reason: str) -> None:
        """Record and emit a pair or file. Raises TrainingError if strict."""
        self.reasons[name] = reason
        self._emit(PairLeftOut(stem=name, reason=reason))
        if self._strict:
            raise TrainingError(
                f"{name} cannot be trained on.", hint="Fix or remove it, or omit --strict."
            )


def _examples(
    checked: Checked,
    compute: Compute,
    leave_out: LeaveOut,
    emit: Callable[[PairEmbedded], None],
    check_interrupted: CheckInterrupted,
) -> list[Example]:
    """Embed the dataset. Raises TrainingError if no pair can be used."""
    options = checked.options
    process = _process_on_this_machine()
    audio_encoder = AudioEncoder(
        checked.clap,
        device=_own_device(compute, process[0]),
        dtype=compute.dtype,
        padding=options.preset.padding,
    )
    examples = make_examples(
        checked.dataset.pairs,
        audio_encoder,
        windows=options.preset.windows,
        workers=worker_count(options.workers, compute.device.type),
        leave_out=leave_out,
        emit=emit,
        check_interrupted=check_interrupted,
        process=process,
    )
    if not examples:
        raise nothing_to_train_on(options)
    return examples


def _read_loras(checked: Checked) -> list[ExtraLora]:
    """Read the preset's LoRAs. Raises AdapterError."""
    files = zip(checked.loras, checked.options.preset.loras, strict=True)
    return [read_lora(file, lora.weight) for file, lora in files]


def _names(checked: Checked) -> AdapterNames:
    options = checked.options
    preset = options.preset
    return AdapterNames(
        title=options.save_as or options.output.resolve().name,
        base=preset.base,
        clap=preset.clap,
        clap_mark=read_clap_folder(checked.clap).fingerprint,
        loras=lora_texts(preset.loras, [file_hash(file) for file in checked.loras]),
        vae=preset.vae or "",
    )


def _process_on_this_machine() -> tuple[int, int]:
    """Return the index of this process and the number of processes on this machine."""
    environment = os.environ
    count = environment.get("LOCAL_WORLD_SIZE", environment.get("WORLD_SIZE", "1"))
    return int(environment.get("LOCAL_RANK", "0")), int(count)


def _own_device(compute: Compute, process: int) -> torch.device:
    """Return the GPU of this process, assigned as accelerate does."""
    device = compute.device
    if str(device) != "cuda":  # the CPU, or a GPU chosen by the user
        return device
    return torch.device("cuda", process % torch.cuda.device_count())


def _report(
    options: FinetuneOptions,
    recipe: Recipe,
    names: AdapterNames,
    initial: Initial | None,
    left_out: _LeftOut,
) -> Path:
    try:
        return write_report(
            options.output,
            recipe,
            names,
            dataset=options.dataset.resolve().name,
            init=initial.source if initial else "",
            left_out=left_out.reasons,
        )
    except OSError as error:
        raise TrainingError(
            f"{options.output / 'report.html'} cannot be written: {error.strerror or error}.",
            hint="The training itself is saved; the same command with --resume writes the report.",
        ) from error


def _save(options: FinetuneOptions, adapter: Path) -> Path | None:
    """Save the preset with the new adapter as a new model; return the file that defines it."""
    if options.save_as is None:
        return None
    preset, here = options.preset, Path.cwd()
    model = replace(
        preset,
        name=options.save_as,
        description=f"{preset.name}, finetuned on {options.dataset.resolve().name}",
        base=anchored(preset.base, here),
        clap=anchored(preset.clap, here),
        adapter=str(adapter.resolve()),
        size="",
    )
    try:
        return save_preset(model)
    except SettingsError as error:
        raise TrainingError(
            f"The model {model.name!r} could not be saved: {error.message}",
            hint=f"{error.hint} Its adapter is trained and can be used with:"
            f" --adapter {adapter}".lstrip(),
        ) from error
