"""Check the options of a training before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.errors import TrainingError, UsageError
from covergen.datasets.folder import read_dataset
from covergen.models.part_files import is_pipeline
from covergen.models.presets import is_distilled, load_presets
from covergen.models.save_preset import check_new_name
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.model_files import locate_extras, locate_part
from covergen.training.output_folder import ADAPTER, check_output

if TYPE_CHECKING:
    from covergen.datasets.folder import Dataset
    from covergen.models.presets import Preset
    from covergen.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions:
    """The options of a training.

    `preset` provides the base and the CLAP. `given` names the settings of the recipe that the user
    chose. `init`: an adapter file to start from. `from_scratch`: do not start from the preset's own
    adapter. `device` and `dtype` (of CLAP) are values that `choose_compute` accepts.
    `workers` is the number of decoder processes. `save_as` is the name of a new model, None for
    none; `force` allows replacing an existing one.
    """

    dataset: Path
    preset: Preset
    recipe: Recipe
    output: Path
    device: str
    dtype: str
    workers: int | None
    init: Path | None = None
    given: frozenset[str] = frozenset()
    from_scratch: bool = False
    save_as: str | None = None
    resume: bool = False
    strict: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Checked options: the folders of base and CLAP, and the dataset.

    `loras` are the files of the preset's LoRAs, `vae` is the folder of its VAE, None for the base's
    own.
    """

    options: FinetuneOptions
    base: Path
    clap: Path
    loras: tuple[Path, ...]
    vae: Path | None
    dataset: Dataset

    @property
    def left_out(self) -> dict[str, str]:
        """The problem of each file that is not in a pair, by relative path."""
        return {
            str(problem.path.relative_to(self.dataset.folder)): (
                problem.message or problem.reason.text
            )
            for problem in self.dataset.problems
        }


def check_finetune(options: FinetuneOptions) -> Checked:
    """Find everything that a training needs, so that it fails now rather than after hours.

    No file is decoded. Raises UsageError, ModelError for a missing model, and TrainingError for a
    dataset without pairs.
    """
    check_output(options.output, resume=options.resume)
    if options.init is not None and options.from_scratch:
        raise UsageError("--init and --from-scratch cannot be used together.")
    if options.save_as is not None:
        adapter = (options.output / ADAPTER).resolve()
        check_new_name(options.save_as, adapter, force=options.force)
    if options.preset.base == PROCEDURAL:
        raise UsageError(f"The model {options.preset.name!r} draws by rules and cannot be trained.")
    _check_not_distilled(options.preset)
    base, clap = locate_part(options.preset, "base"), locate_part(options.preset, "clap")
    if options.preset.pipeline or is_pipeline(base):
        raise UsageError(
            f"The model {options.preset.name!r} cannot be trained: adapters need a base like Stable"
            " Diffusion 1.x or 2.x."
        )
    loras, vae = locate_extras(options.preset)
    dataset = read_dataset(options.dataset)
    if not dataset.pairs:
        raise nothing_to_train_on(options)
    return Checked(options=options, base=base, clap=clap, loras=loras, vae=vae, dataset=dataset)


def _check_not_distilled(preset: Preset) -> None:
    """Raise UsageError for a model of a few steps: learning to remove noise would undo that."""
    presets = load_presets()
    own = presets.get(preset.name, preset)  # a recipe may have changed its sampling
    if own.pipeline or not is_distilled(own):
        return
    hint = "Train a model that paints in more steps, such as sd15."
    for other in presets.values():
        if other.base == own.base and not is_distilled(other):
            hint = f"Train {other.name}, which has the same base. Its adapter also works with this"
            hint += f" one: covergen tag --model {preset.name} --adapter FILE"
            break
    raise UsageError(
        f"The model {preset.name!r} cannot be trained: its settings (steps: {own.sampling.steps},"
        f" guidance: {own.sampling.guidance:g}, scheduler: {own.sampling.scheduler}) are those of a"
        " model that was distilled to paint in a few steps, and training would undo that.",
        hint=hint,
    )


def nothing_to_train_on(options: FinetuneOptions) -> TrainingError:
    """Return the error for a dataset without usable pairs."""
    return TrainingError(
        f"{options.dataset} has no usable pair of music and cover.",
        hint=f"See its problems with: covergen dataset check {options.dataset}",
    )
