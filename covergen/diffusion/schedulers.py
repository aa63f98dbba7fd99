"""The schedulers by covergen's names for them, made from a base's own config."""

from collections.abc import Mapping
from typing import Any

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    PNDMScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)

from covergen.core.errors import ModelError, UsageError
from covergen.core.types import SCHEDULERS
from covergen.diffusion.quiet import quiet

__all__ = ["make_scheduler"]

# StableDiffusionPipeline holds every base to these: latents may leave [-1, 1].
_LATENT_DIFFUSION = {"clip_sample": False, "steps_offset": 1}

# Few steps must start from pure noise, and "leading", which many bases ask for, does not
# (Lin et al. 2023, arXiv 2305.08891, table 2).
_FEW_STEPS: dict[str, object] = {"timestep_spacing": "trailing"}

_CLASSES: dict[str, tuple[type[SchedulerMixin], dict[str, object]]] = {
    "ddim": (DDIMScheduler, {}),
    "ddpm": (DDPMScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, _FEW_STEPS),
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),  # PLMS, as Stable Diffusion uses it
    "unipc": (UniPCMultistepScheduler, _FEW_STEPS),
}


def make_scheduler(name: str, config: Mapping[str, Any], *, steps: int) -> SchedulerMixin:
    """Make a fresh scheduler, set to `steps`; they hold state, so that each batch needs its own.

    `name` is one of SCHEDULERS, `config` a base's scheduler config. Raises UsageError for an
    unknown name, or more steps than the base was trained with, and ModelError for a config that no
    scheduler can be made of.
    """
    if name not in _CLASSES:
        raise UsageError(f"Scheduler {name!r} is unknown: it is one of {', '.join(SCHEDULERS)}.")
    scheduler_class, options = _CLASSES[name]
    try:
        with quiet():
            scheduler = scheduler_class.from_config({**config, **_LATENT_DIFFUSION, **options})
            limit = scheduler.config.num_train_timesteps
            if not 1 <= steps <= limit:
                raise UsageError(f"{steps} steps are impossible: this base can take 1 to {limit}.")
            scheduler.set_timesteps(steps)
    except (ArithmeticError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"The base's scheduler config cannot be used: {error}") from error
    return scheduler
