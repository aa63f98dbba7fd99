"""Check the options of a training before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from covergen.core.errors import TrainingError, UsageError
from covergen.datasets.folder import read_dataset
from covergen.models.files import is_pipeline
from covergen.models.save import check_new_name
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.model import locate_part
from covergen.training.output import ADAPTER, check_output

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.datasets.folder import Dataset
    from covergen.models.presets import Preset
    from covergen.training.recipe import Recipe

__all__ = ["Checked", "FinetuneOptions", "check_finetune", "nothing_to_train_on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions:
    """The options of a training.

    `preset` provides the base and the CLAP. `from_scratch`: do not start from the projection of the
    preset's adapter. `device` and `dtype` (of CLAP) are values that `choose_compute` accepts.
    `workers` is the number of decoder processes. `save_as` is the name of a new model, None for
    none; `force` allows replacing an existing one.
    """

    dataset: Path
    preset: Preset
    recipe: Recipe
    output: Path
    device: str
    dtype: str
    workers: int
    from_scratch: bool = False
    save_as: str | None = None
    resume: bool = False
    strict: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Checked options: the folders of base and CLAP, and the dataset."""

    options: FinetuneOptions
    base: Path
    clap: Path
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
    if options.save_as is not None:
        adapter = (options.output / ADAPTER).resolve()
        check_new_name(options.save_as, adapter, force=options.force)
    if options.preset.base == PROCEDURAL:
        raise UsageError(f"The model {options.preset.name!r} draws by rules and cannot be trained.")
    base, clap = locate_part(options.preset, "base"), locate_part(options.preset, "clap")
    if options.preset.pipeline or is_pipeline(base):
        raise UsageError(
            f"The model {options.preset.name!r} cannot be trained: adapters need a base like Stable"
            " Diffusion 1.x or 2.x."
        )
    dataset = read_dataset(options.dataset)
    if not dataset.pairs:
        raise nothing_to_train_on(options)
    return Checked(options=options, base=base, clap=clap, dataset=dataset)


def nothing_to_train_on(options: FinetuneOptions) -> TrainingError:
    """Return the error for a dataset without usable pairs."""
    return TrainingError(
        f"{options.dataset} has no usable pair of music and cover.",
        hint=f"See its problems with: covergen dataset check {options.dataset}",
    )
