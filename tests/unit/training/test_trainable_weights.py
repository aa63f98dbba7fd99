"""Optimizer steps."""

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from covergen.training.recipe import RECIPES
from covergen.training.trainable_weights import Learner


def test_a_process_without_pairs_takes_the_same_step(sd1: Path) -> None:
    """Also with loss scaling, whose scale is not initialized by a loss then."""
    learner = Learner(
        UNet2DConditionModel.from_pretrained(sd1 / "unet"),
        replace(RECIPES["reference"], weight_decay=0.0),
        d_audio=512,
        tokens=1,
        steps=2,
        scaled=True,
        initial=None,
    )
    before = [parameter.detach().clone() for parameter in learner.parameters]
    learner.update()
    assert learner.step == 1
    assert all(map(torch.equal, before, learner.parameters))
    assert "scaler.scale" in learner.state()
