"""Read and check the folder of a text-to-image pipeline, without loading its weights."""

import inspect
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import transformers
from diffusers import DiffusionPipeline

from covergen.core.cover import DEFAULT_SCHEDULER, Sampling
from covergen.core.errors import ModelError, UsageError
from covergen.diffusion.quiet import quiet

# Components that are not loaded, as in models/part_files.py.
_UNUSED = ("safety_checker", "feature_extractor", "image_encoder", "watermarker")
_MAY_NAME_CODE = (
    "config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
_NOT_IN_AUTO = ("SanaSprintPipeline",)  # text to image as well, but not in diffusers' table
_DISTILLED_NAME = re.compile(
    r"(?<![a-z])(turbo|lightning|schnell|sprint|lcm|hyper-?sd\w*)(?![a-z])", re.IGNORECASE
)
_DISTILLED_SCHEDULERS = ("LCMScheduler", "TCDScheduler", "SCMScheduler")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """A pipeline's class and the arguments of its call.

    `in_auto`: AutoPipelineForText2Image knows the class. `omitted` are the components to leave out,
    as arguments for `from_pretrained`. `parameters` are those of the call.
    """

    folder: Path
    pipeline_class: type[DiffusionPipeline]
    in_auto: bool
    omitted: Mapping[str, object]
    parameters: Mapping[str, inspect.Parameter]

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.pipeline_class.__name__

    @property
    def steps(self) -> str:
        """The parameter for the number of steps, "" if there is none."""
        return self._number("num_inference_steps")

    @property
    def guidance(self) -> str:
        """The parameter for guidance, "" if there is none."""
        return self._number("guidance_scale") or self._number("true_cfg_scale")

    def sampling(self, preset: Sampling, given: Collection[str]) -> Sampling:
        """Return a preset's sampling, with the pipeline's own default for what is not `given`.

        Raises UsageError for a given setting that the pipeline does not have.
        """
        neutral: dict[str, Any] = {"guided_from": 0.0, "guided_until": 1.0, "reuse": 1}
        unknown = [name for name, value in neutral.items() if getattr(preset, name) != value]
        unknown += [] if self.steps else ["steps"]
        unknown += [] if self.guidance or not preset.guidance else ["guidance"]  # 0 is off anyway
        for name in unknown:
            if name in given:
                raise UsageError(
                    f"The setting {name!r} does not apply to this model: {self.name} does not have"
                    " it."
                )
        own: dict[str, Any] = {
            "steps": self.parameters[self.steps].default if self.steps else 0,
            "guidance": float(self.parameters[self.guidance].default) if self.guidance else 0.0,
            "scheduler": DEFAULT_SCHEDULER,
        }
        return replace(preset, **neutral, **{n: v for n, v in own.items() if n not in given})

    def check_negative(self, prompt: str) -> None:
        """Raise UsageError for a negative prompt if the pipeline does not use one."""
        # With both kinds of guidance, as in Flux, the one that uses it is off by default.
        off = "true_cfg_scale" in self.parameters and self.guidance != "true_cfg_scale"
        if prompt and (off or "negative_prompt" not in self.parameters):
            raise UsageError(f"This model takes no negative prompt: {self.name} does not use one.")

    def _number(self, name: str) -> str:
        parameter = self.parameters.get(name)
        return name if parameter and isinstance(parameter.default, int | float) else ""


def pipeline_error(problem: str) -> ModelError:
    """The error for a folder that cannot be used as a pipeline."""
    return ModelError(
        problem,
        hint="The base must be a text-to-image model in diffusers' layout, with safetensors and"
        " without code of its own. Download it again, or use another one.",
    )


def read_pipeline_config(folder: Path) -> PipelineConfig:
    """Read and check a model_index.json and the config of each component.

    Raises ModelError if it is not for text to image, if a component is missing or unknown, or if
    it needs code that is not in diffusers or transformers.
    """
    index = _read_json(folder / "model_index.json")
    pipeline_class, in_auto = _class_of(folder, index)
    parameters = inspect.signature(pipeline_class.__init__).parameters
    optional = set(pipeline_class._optional_components)
    absent = [name for name, value in index.items() if value == [None, None]]
    omitted: dict[str, object] = {
        name: None
        for name in parameters
        if name in absent or (name in _UNUSED and name in optional)
    }
    if "requires_safety_checker" in parameters:
        omitted["requires_safety_checker"] = False
    for name, parameter in parameters.items():
        required = parameter.default is inspect.Parameter.empty and name not in {"self", *optional}
        if required and name not in omitted and not index.get(name):
            raise pipeline_error(f"{folder}: its model_index.json lists no {name}.")
    for name, value in index.items():
        if isinstance(value, list) and name in parameters and name not in omitted:
            _check_component(folder, name, value)
    return PipelineConfig(
        folder=folder,
        pipeline_class=pipeline_class,
        in_auto=in_auto,
        omitted=omitted,
        parameters=inspect.signature(pipeline_class.__call__).parameters,
    )


def is_distilled(folder: Path, source: str) -> bool:
    """Whether a base seems to be distilled for a few steps without guidance.

    That is so if its name in `source`, as in models.toml, says so, if its scheduler is made for
    that, or if epsilon prediction starts at the last timestep, as for SD-Turbo.
    """
    name = re.split(r"[/\\]", source.partition("@")[0])[-1]
    if _DISTILLED_NAME.search(name):
        return True
    try:
        scheduler = _read_json(folder / "scheduler" / "scheduler_config.json")
    except ModelError:
        return False
    return scheduler.get("_class_name") in _DISTILLED_SCHEDULERS or (
        scheduler.get("timestep_spacing") == "trailing"
        and scheduler.get("prediction_type", "epsilon") == "epsilon"
        and not scheduler.get("rescale_betas_zero_snr")
    )


def _class_of(folder: Path, index: Mapping[str, Any]) -> tuple[type[DiffusionPipeline], bool]:
    """Return the class for text to image, and whether AutoPipelineForText2Image knows it."""
    name = index.get("_class_name")
    if not isinstance(name, str):  # [module, class]: code in the folder
        raise pipeline_error(f"{folder} needs code of its own, which covergen does not run.")
    if name in _NOT_IN_AUTO:
        return getattr(diffusers, name), False
    with quiet():  # imports all pipelines, some of which print notices
        from diffusers.pipelines.auto_pipeline import (
            AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
            _get_task_class,
        )

    found: type[DiffusionPipeline] | None = _get_task_class(
        AUTO_TEXT2IMAGE_PIPELINES_MAPPING, name, throw_error_if_not_exist=False
    )
    if found is None:
        raise pipeline_error(
            f"{folder}: {name} is not a text-to-image pipeline of diffusers"
            f" {diffusers.__version__}."
        )
    return found, True


def _check_component(folder: Path, name: str, value: list[Any]) -> None:
    library, class_name = (*value, None, None)[:2]
    if class_name is None:
        return
    modules = {"diffusers": diffusers, "transformers": transformers}
    module = modules.get(library, getattr(diffusers.pipelines, str(library), None))
    if module is None:
        raise pipeline_error(
            f"{folder}: {name} needs code of its own ({library}), which covergen does not run."
        )
    if not hasattr(module, class_name):
        raise pipeline_error(
            f"{folder}: {name} is a {class_name}, which the installed {library}"
            f" {modules.get(library, diffusers).__version__} does not have."
        )
    for file in _MAY_NAME_CODE:
        config = folder / name / file
        if config.exists() and "auto_map" in _read_json(config):
            raise pipeline_error(f"{config}: needs code of its own, which covergen does not run.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise pipeline_error(f"{path}: not a readable JSON file: {error}.") from error
    if not isinstance(found, dict):
        raise pipeline_error(f"{path}: expected a JSON object, found {type(found).__name__}.")
    return found
