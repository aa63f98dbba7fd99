"""Create schedulers by covergen's names, from a base's config."""

from collections.abc import Mapping
from typing import Any

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    SchedulerMixin,
    TCDScheduler,
    UniPCMultistepScheduler,
)

from covergen.core.cover import SCHEDULERS
from covergen.core.errors import ModelError, UsageError
from covergen.diffusion.quiet import quiet

# StableDiffusionPipeline enforces these too: latents may leave [-1, 1].
_LATENT_DIFFUSION = {"clip_sample": False, "steps_offset": 1}

# Sampling in few steps must start from pure noise, which many bases' "leading" spacing does not do
# (Lin et al. 2023, arXiv 2305.08891, table 2).
_FEW_STEPS: dict[str, object] = {"timestep_spacing": "trailing"}

_CLASSES: dict[str, tuple[type[SchedulerMixin], dict[str, object]]] = {
    "ddim": (DDIMScheduler, {}),
    "ddpm": (DDPMScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, {**_FEW_STEPS, "algorithm_type": "dpmsolver++"}),
    "dpm++sde": (DPMSolverMultistepScheduler, {**_FEW_STEPS, "algorithm_type": "sde-dpmsolver++"}),
    "euler": (EulerDiscreteScheduler, _FEW_STEPS),
    "lcm": (LCMScheduler, {}),  # Luo et al. 2023, arXiv 2310.04378
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),  # PLMS, as in Stable Diffusion
    "tcd": (TCDScheduler, {}),  # Zheng et al. 2024, arXiv 2402.19159
    "unipc": (UniPCMultistepScheduler, _FEW_STEPS),
}


def make_scheduler(name: str, config: Mapping[str, Any], *, steps: int) -> SchedulerMixin:
    """Create a scheduler set to `steps`; schedulers have state, so each batch needs a new one.

    `name` is one of SCHEDULERS, `config` a base's scheduler config. Raises UsageError for an
    unknown name or more steps than the base was trained for, and ModelError for an invalid config.
    """
    if name not in _CLASSES:
        raise UsageError(f"Unknown scheduler {name!r}. Choose one of {', '.join(SCHEDULERS)}.")
    scheduler_class, options = _CLASSES[name]
    try:
        with quiet():
            scheduler = scheduler_class.from_config({**config, **_LATENT_DIFFUSION, **options})
            limit = _most_steps(scheduler)
            if not 1 <= steps <= limit:
                raise UsageError(
                    f"Invalid number of steps, {steps}: this base supports 1 to {limit}."
                )
            scheduler.set_timesteps(steps)
    except (ArithmeticError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"The base's scheduler config is invalid: {error}") from error
    return scheduler


def draws_noise(name: str) -> bool:
    """Whether a scheduler draws noise at each step, from the generators passed to it."""
    return name in ("ddpm", "dpm++sde", "lcm", "tcd")


def _most_steps(scheduler: SchedulerMixin) -> int:
    """Distilled models were trained at a few of the timesteps."""
    config = scheduler.config
    return int(config.get("original_inference_steps") or config.num_train_timesteps)
