"""What a training is asked for, checked before anything heavy loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from covergen.core.errors import TrainingError, UsageError
from covergen.datasets.folder import read_dataset
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
    """What to train on what, and how.

    `preset` has the base and the CLAP. `from_scratch`: the projection does not begin as that of the
    preset's adapter. `device` and `dtype` are words of `choose_compute`, `dtype` that of CLAP.
    `workers` processes decode audio. `save_as` is the name of a new model, None for none; with
    `force` it may be taken.
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
    """A training that can be begun: the folders of its base and CLAP, and its dataset."""

    options: FinetuneOptions
    base: Path
    clap: Path
    dataset: Dataset

    @property
    def left_out(self) -> dict[str, str]:
        """What is the matter with the files that are in no pair."""
        return {
            str(problem.path.relative_to(self.dataset.folder)): (
                problem.message or problem.reason.text
            )
            for problem in self.dataset.problems
        }


def check_finetune(options: FinetuneOptions) -> Checked:
    """Find all that a training needs; what is in its way comes up now, not after hours.

    No sound and no picture is decoded. Raises UsageError, ModelError for a model that is not here,
    and TrainingError without a pair.
    """
    check_output(options.output, resume=options.resume)
    if options.save_as is not None:
        adapter = (options.output / ADAPTER).resolve()
        check_new_name(options.save_as, adapter, force=options.force)
    if options.preset.base == PROCEDURAL:
        raise UsageError(f"The model {options.preset.name!r} draws by rules and cannot be trained.")
    base, clap = locate_part(options.preset, "base"), locate_part(options.preset, "clap")
    dataset = read_dataset(options.dataset)
    if not dataset.pairs:
        raise nothing_to_train_on(options)
    return Checked(options=options, base=base, clap=clap, dataset=dataset)


def nothing_to_train_on(options: FinetuneOptions) -> TrainingError:
    """The error of a dataset without a pair that can be used."""
    return TrainingError(
        f"{options.dataset} has no pair of music and cover that can be trained on.",
        hint=f"See what is in it with: covergen dataset check {options.dataset}",
    )
