"""A folder of music and covers to an adapter: embedded, trained on, reported, saved as a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate import PartialState

from covergen.audio.clap import Tower
from covergen.audio.clap_folder import read_clap_folder
from covergen.core.errors import Interrupted, TrainingError
from covergen.datasets.folder import read_dataset
from covergen.diffusion.base_config import read_config
from covergen.jobs.compute import choose_compute
from covergen.jobs.examples import make_examples
from covergen.jobs.model import locate_part
from covergen.models.save import check_new_name, save_preset
from covergen.models.sources import anchored
from covergen.training.disk import disk_bytes
from covergen.training.events import PairLeftOut
from covergen.training.examples import is_held
from covergen.training.report import write_report
from covergen.training.train import Names, check_output, train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from covergen.datasets.folder import Dataset
    from covergen.jobs.events import Checkpoint
    from covergen.jobs.examples import PairHeard
    from covergen.models.presets import Preset
    from covergen.training.events import Event
    from covergen.training.recipe import Recipe
    from covergen.training.train import Trained

__all__ = ["FinetuneOptions", "FinetunePlan", "Finetuned", "finetune", "plan_finetune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions:
    """What to train on what, and how.

    `preset` has the base and the CLAP; its adapter plays no part. `device` and `dtype` are words of
    `choose_compute`, `dtype` that of CLAP. `workers` threads decode audio. `save_as` is the name
    of a new model, None for none; with `force` it may be taken.
    """

    dataset: Path
    preset: Preset
    recipe: Recipe
    output: Path
    device: str
    dtype: str
    workers: int
    save_as: str | None = None
    resume: bool = False
    strict: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunePlan:
    """What would be trained. Of the `pairs`, `held_back` are validated on; `unheard` must be heard.

    `disk_bytes` is about what is written. `left_out`: a reason for each file that is in no pair.
    """

    pairs: int
    held_back: int
    albums: int
    unheard: int
    steps: int
    disk_bytes: int
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuned:
    """What came out. `models_file` is where the new model stands, None without one."""

    trained: Trained
    report: Path
    models_file: Path | None


def plan_finetune(options: FinetuneOptions) -> FinetunePlan:
    """Look at the dataset, decoding nothing.

    Raises UsageError, ModelError for a model that is not here, and TrainingError without a pair.
    """
    base, clap = _check(options)
    recipe = options.recipe
    dataset = read_dataset(options.dataset)
    held_back = sum(is_held(pair.album, recipe.validation, recipe.seed) for pair in dataset.pairs)
    trained_on = len(dataset.pairs) - held_back
    if not trained_on:
        raise _nothing_to_train_on(options)
    steps = recipe.steps(trained_on)
    return FinetunePlan(
        pairs=len(dataset.pairs),
        held_back=held_back,
        albums=len(dataset.albums),
        unheard=sum(pair.embedding is None for pair in dataset.pairs),
        steps=steps,
        disk_bytes=disk_bytes(
            read_config(base),
            recipe,
            d_audio=read_clap_folder(clap).dimension,
            pairs=len(dataset.pairs),
            steps=steps,
        ),
        left_out=_unpaired(dataset),
    )


def finetune(
    options: FinetuneOptions, emit: Callable[[Event | PairHeard], None], checkpoint: Checkpoint
) -> Finetuned | None:
    """Train an adapter for the preset's base, write its report, and save it as a model if asked.

    Started by `accelerate launch`, the processes share the work; events and the result are the
    first's alone. Raises TrainingError, ModelError, UsageError, and Interrupted when `checkpoint`
    says so; what is trained by then is saved.
    """
    compute = choose_compute(options.device, options.dtype)
    base, clap = _check(options)
    state = PartialState(cpu=compute.device.type == "cpu")
    left_out: dict[str, str] = {}

    def tell(event: Event | PairHeard) -> None:
        if state.is_main_process:
            emit(event)

    def leave_out(name: str, reason: str) -> None:
        left_out[name] = reason
        tell(PairLeftOut(stem=name, reason=reason))
        if options.strict:
            raise TrainingError(
                f"{name} cannot be trained on.",
                hint="Mend it or take it away, or leave out --strict.",
            )

    with state.main_process_first():  # the others find remembered what it has heard
        dataset = read_dataset(options.dataset)
        for name, reason in _unpaired(dataset).items():
            leave_out(name, reason)
        examples = make_examples(
            dataset.pairs,
            Tower(clap, device=compute.device, dtype=compute.dtype),
            windows=options.preset.windows,
            workers=options.workers,
            leave_out=leave_out,
            emit=tell,
            checkpoint=checkpoint,
        )
    if not examples:
        raise _nothing_to_train_on(options)
    names = Names(
        title=options.save_as or options.output.resolve().name,
        base=options.preset.base,
        clap=options.preset.clap,
    )
    try:
        trained = train(
            base,
            examples,
            options.recipe,
            options.output,
            names=names,
            device=compute.device,
            emit=emit,
            checkpoint=checkpoint,
            resume=options.resume,
            strict=options.strict,
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


def _check(options: FinetuneOptions) -> tuple[Path, Path]:
    """Find the base and the CLAP; raise what would else come up after hours of work."""
    check_output(options.output, resume=options.resume)
    if options.save_as is not None:
        adapter = options.output / "adapter.safetensors"
        check_new_name(options.save_as, adapter.resolve(), force=options.force)
    return locate_part(options.preset, "base"), locate_part(options.preset, "clap")


def _unpaired(dataset: Dataset) -> dict[str, str]:
    """What is the matter with the files that are in no pair."""
    return {
        str(problem.path.relative_to(dataset.folder)): ": ".join(
            filter(None, (problem.reason.text, problem.message))
        )
        for problem in dataset.problems
    }


def _nothing_to_train_on(options: FinetuneOptions) -> TrainingError:
    return TrainingError(
        f"{options.dataset} has no pair of music and cover that can be trained on.",
        hint=f"See what is in it with: covergen dataset check {options.dataset}",
    )


def _report(options: FinetuneOptions, names: Names, left_out: Mapping[str, str]) -> Path:
    try:
        return write_report(options.output, options.recipe, names, left_out=left_out)
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
    return save_preset(
        replace(
            preset,
            name=options.save_as,
            description=f"{preset.name}, finetuned on {options.dataset.resolve().name}",
            base=anchored(preset.base, here),
            clap=anchored(preset.clap, here),
            adapter=str(adapter.resolve()),
            size="",
        )
    )
