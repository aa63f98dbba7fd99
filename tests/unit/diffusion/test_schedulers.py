"""The schedulers by name."""

import json
from pathlib import Path

import pytest

from covergen.core.errors import ModelError, UsageError
from covergen.core.types import SCHEDULERS
from covergen.diffusion.schedulers import make_scheduler

# As Stable Diffusion 1.5 has it, and as many later bases do.
CONFIG = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "timestep_spacing": "leading",
}
CLASSES = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_name_gives_a_fresh_scheduler(name: str) -> None:
    scheduler = make_scheduler(name, CONFIG, steps=5)
    assert type(scheduler).__name__ == CLASSES[name]
    assert scheduler is not make_scheduler(name, CONFIG, steps=5)


@pytest.mark.parametrize("name", ["dpm++", "unipc"])
def test_few_steps_begin_at_pure_noise(name: str) -> None:
    timesteps = make_scheduler(name, CONFIG, steps=5).timesteps
    assert timesteps.tolist() == [999, 799, 599, 399, 199]


def test_the_base_decides_for_the_others() -> None:
    assert make_scheduler("ddim", CONFIG, steps=5).timesteps.tolist() == [801, 601, 401, 201, 1]
    trailing = {**CONFIG, "timestep_spacing": "trailing"}
    assert make_scheduler("ddpm", trailing, steps=5).timesteps[0] == 999


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_bases_prediction_is_kept(name: str, sd2: Path) -> None:
    config = json.loads((sd2 / "scheduler" / "scheduler_config.json").read_text())
    scheduler = make_scheduler(name, config, steps=5)
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.beta_schedule == "scaled_linear"


def test_latents_are_never_clipped() -> None:
    clipping = {**CONFIG, "clip_sample": True}
    assert make_scheduler("ddpm", clipping, steps=5).config.clip_sample is False


def test_an_unknown_name_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="one of ddim, ddpm"):
        make_scheduler("euler", CONFIG, steps=5)


@pytest.mark.parametrize("damage", [{"beta_schedule": "odd"}, {"beta_start": "low"}])
def test_a_config_that_is_none_is_an_error(damage: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="scheduler config cannot be used"):
        make_scheduler("ddim", {**CONFIG, **damage}, steps=5)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_steps_are_wrong_use(steps: int) -> None:
    with pytest.raises(UsageError, match="1 to 1000"):
        make_scheduler("ddim", CONFIG, steps=steps)
