"""A folder of music and covers to an adapter: embedded, trained on, reported, saved as a model."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import PartialState

from covergen.audio.clap import Tower
from covergen.audio.clap_folder import read_clap_folder
from covergen.compute.device import choose_compute
from covergen.core.errors import Interrupted, SettingsError, TrainingError
from covergen.diffusion.adapter_file import PROJECTION_PREFIX, inspect, read_tensors
from covergen.diffusion.base_config import read_config
from covergen.jobs.finetune.examples import make_examples
from covergen.jobs.finetune.preflight import nothing_to_train_on
from covergen.journal.lock import library_lock
from covergen.models.presets import load_presets
from covergen.models.save import save_preset
from covergen.models.sources import anchored
from covergen.pipeline.events import GpuUnused
from covergen.pipeline.model import locate_part
from covergen.training.disk import disk_bytes
from covergen.training.events import PairLeftOut
from covergen.training.examples import is_held
from covergen.training.report import write_report
from covergen.training.train import Names, train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from covergen.compute.device import Compute
    from covergen.jobs.finetune.examples import PairHeard
    from covergen.jobs.finetune.preflight import Checked, FinetuneOptions
    from covergen.pipeline.events import Checkpoint
    from covergen.training.events import Event
    from covergen.training.recipe import Recipe
    from covergen.training.train import Trained

__all__ = ["FinetunePlan", "Finetuned", "finetune", "plan_finetune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunePlan:
    """What would be trained. Of the `pairs`, `held_back` are validated on; `unheard` must be heard.

    `continues`: the projection begins as that of the model's own adapter. `disk_bytes` is about
    what is written. `left_out`: a reason for each file that is in no pair.
    """

    pairs: int
    held_back: int
    albums: int
    unheard: int
    steps: int
    continues: bool
    disk_bytes: int
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuned:
    """What came out. `models_file` is where the new model stands, None without one."""

    trained: Trained
    report: Path
    models_file: Path | None


def plan_finetune(checked: Checked) -> FinetunePlan:
    """What would be trained. Raises ModelError, and TrainingError where all is held back."""
    dataset = checked.dataset
    recipe, initial = _begin(checked)
    held_back = sum(is_held(pair.album, recipe.validation, recipe.seed) for pair in dataset.pairs)
    trained_on = len(dataset.pairs) - held_back
    if not trained_on:
        raise nothing_to_train_on(checked.options)
    steps = recipe.steps(trained_on)
    return FinetunePlan(
        pairs=len(dataset.pairs),
        held_back=held_back,
        albums=len(dataset.albums),
        unheard=sum(pair.embedding is None for pair in dataset.pairs),
        steps=steps,
        continues=initial is not None,
        disk_bytes=disk_bytes(
            read_config(checked.base),
            recipe,
            d_audio=read_clap_folder(checked.clap).dimension,
            pairs=len(dataset.pairs),
            steps=steps,
        ),
        left_out=checked.left_out,
    )


def finetune(
    checked: Checked, emit: Callable[[Event | PairHeard | GpuUnused], None], checkpoint: Checkpoint
) -> Finetuned | None:
    """Train an adapter for the preset's base, write its report, and save it as a model if asked.

    Started by `accelerate launch`, the processes share the work; events and the result are the
    first's alone. Raises TrainingError, ModelError, UsageError, and Interrupted when `checkpoint`
    says so; what is trained by then is saved.
    """
    options = checked.options
    recipe, initial = _begin(checked)
    compute = choose_compute(options.device, options.dtype)
    process = _process_on_this_machine()
    is_first = os.environ.get("RANK", "0") == "0"
    if compute.unused and is_first:
        emit(GpuUnused(why=compute.unused))
    left_out: dict[str, str] = {}

    def tell(event: Event | PairHeard) -> None:
        if is_first:
            emit(event)

    def leave_out(name: str, reason: str) -> None:
        left_out[name] = reason
        tell(PairLeftOut(stem=name, reason=reason))
        if options.strict:
            raise TrainingError(
                f"{name} cannot be trained on.",
                hint="Mend it or take it away, or leave out --strict.",
            )

    for name, reason in checked.left_out.items():
        leave_out(name, reason)
    # Embedding may take longer than processes of a group wait for one another.
    examples = make_examples(
        checked.dataset.pairs,
        Tower(
            checked.clap,
            device=_own_device(compute, process[0]),
            dtype=compute.dtype,
            padding=options.preset.padding,
        ),
        windows=options.preset.windows,
        workers=options.workers,
        leave_out=leave_out,
        emit=tell,
        checkpoint=checkpoint,
        process=process,
    )
    if not examples:
        raise nothing_to_train_on(options)
    state = PartialState(cpu=compute.device.type == "cpu")
    names = Names(
        title=options.save_as or options.output.resolve().name,
        base=options.preset.base,
        clap=options.preset.clap,
    )
    try:
        alone = library_lock("finetune", (options.output,))
        with alone if state.is_main_process else nullcontext():
            trained = train(
                checked.base,
                examples,
                recipe,
                options.output,
                names=names,
                device=compute.device,
                emit=emit,
                checkpoint=checkpoint,
                resume=options.resume,
                strict=options.strict,
                initial=initial,
                sampling=options.preset.sampling,
            )
    except Interrupted:
        if state.is_main_process:
            _report(options, names, left_out)
        raise
    if not state.is_main_process:
        return None
    report = _report(options, names, left_out)
    return Finetuned(trained=trained, report=report, models_file=_save(options, trained.adapter))


def _process_on_this_machine() -> tuple[int, int]:
    """This process's number, and how many `accelerate launch` started on this machine."""
    environment = os.environ
    count = environment.get("LOCAL_WORLD_SIZE", environment.get("WORLD_SIZE", "1"))
    return int(environment.get("LOCAL_RANK", "0")), int(count)


def _own_device(compute: Compute, process: int) -> torch.device:
    """The GPU of one of several processes, as accelerate deals them out."""
    device = compute.device
    if str(device) != "cuda":  # the CPU, or one that the user named
        return device
    return torch.device("cuda", process % torch.cuda.device_count())


def _begin(checked: Checked) -> tuple[Recipe, Mapping[str, Tensor] | None]:
    """The recipe and the state that the projection begins with: that of the model's own adapter.

    None for chance, as where the base or the CLAP is another than the one it was trained for.
    """
    options = checked.options
    preset, recipe = options.preset, options.recipe
    own = load_presets().get(preset.name)
    if options.from_scratch or own is None or own.adapter is None or recipe.projection != "tokens":
        return recipe, None
    if (preset.base, preset.clap) != (own.base, own.clap):
        return recipe, None
    info = inspect(locate_part(own, "adapter"))
    if info.projection != "tokens" or recipe.tokens not in (None, info.tokens):
        return recipe, None
    initial = {
        key.removeprefix(PROJECTION_PREFIX): tensor
        for key, tensor in read_tensors(info).items()
        if key.startswith(PROJECTION_PREFIX)
    }
    return replace(recipe, tokens=info.tokens), initial


def _report(options: FinetuneOptions, names: Names, left_out: Mapping[str, str]) -> Path:
    try:
        return write_report(
            options.output,
            options.recipe,
            names,
            dataset=options.dataset.resolve().name,
            left_out=left_out,
        )
    except OSError as error:
        raise TrainingError(
            f"{options.output / 'report.html'} cannot be written: {error.strerror or error}.",
            hint="The training itself is saved; the same command with --resume writes the report.",
        ) from error


def _save(options: FinetuneOptions, adapter: Path) -> Path | None:
    """Save the preset that was trained from, with the new adapter, as a new model if asked to."""
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
            hint=f"{error.hint} Its adapter is trained, and works as it is:"
            f" --adapter {adapter}".lstrip(),
        ) from error
