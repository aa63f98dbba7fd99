"""Schedulers by name."""

import json
from pathlib import Path

import pytest
import torch

from covergen.core.cover import SCHEDULERS
from covergen.core.errors import ModelError, UsageError
from covergen.diffusion.schedulers import make_scheduler

# Like the config of Stable Diffusion 1.5 and many later bases.
CONFIG = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "timestep_spacing": "leading",
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_keep_the_bases_settings(name: str, sd2: Path) -> None:
    config = json.loads((sd2 / "scheduler" / "scheduler_config.json").read_text())
    scheduler = make_scheduler(name, {**config, "clip_sample": True}, steps=5)
    assert scheduler is not make_scheduler(name, config, steps=5)
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.beta_schedule == "scaled_linear"
    assert not scheduler.config.get("clip_sample"), "latents may leave [-1, 1]"


def test_timesteps() -> None:
    for name in ("dpm++", "dpm++sde", "euler", "unipc"):  # start from pure noise
        assert make_scheduler(name, CONFIG, steps=5).timesteps.tolist() == [999, 799, 599, 399, 199]
    assert make_scheduler("ddim", CONFIG, steps=5).timesteps.tolist() == [801, 601, 401, 201, 1]
    trailing = {**CONFIG, "timestep_spacing": "trailing"}
    assert make_scheduler("ddpm", trailing, steps=5).timesteps[0] == 999


@pytest.mark.parametrize("name", ["dpm++", "unipc"])
def test_sampling_does_not_use_the_global_generator(name: str) -> None:
    config = {**CONFIG, "algorithm_type": "sde-dpmsolver++", "solver_type": "heun"}

    def sample(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        scheduler, latents = make_scheduler(name, config, steps=4), torch.ones(1, 3, 4, 4)
        for timestep in scheduler.timesteps:
            latents = scheduler.step(0.5 * latents, timestep, latents, return_dict=False)[0]
        return latents

    assert torch.equal(sample(1), sample(2))


def test_invalid_arguments_and_configs_are_errors() -> None:
    with pytest.raises(UsageError, match="one of ddim, ddpm"):
        make_scheduler("heun", CONFIG, steps=5)
    for steps in (0, -1, 1001):
        with pytest.raises(UsageError, match="1 to 1000"):
            make_scheduler("ddim", CONFIG, steps=steps)
    with pytest.raises(UsageError, match="1 to 50"):
        make_scheduler("lcm", CONFIG, steps=51)  # distilled at 50 timesteps
    for damage in ({"beta_schedule": "odd"}, {"beta_start": "low"}):
        with pytest.raises(ModelError, match="scheduler config is invalid"):
            make_scheduler("ddim", {**CONFIG, **damage}, steps=5)
