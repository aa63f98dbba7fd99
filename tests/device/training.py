"""Training on the device: the CPU's losses, resuming, memory, and the 8-bit optimizer."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch

from covergen.core.errors import Interrupted
from covergen.training.data.examples import Pairs
from covergen.training.data.latents import from_array
from covergen.training.events import MicroBatchReduced, StepDone
from covergen.training.recipe import Recipe
from covergen.training.train_adapter import train
from covergen.training.training_run import AdapterNames
from tests.device.machine import limited_memory, peak_bytes
from tests.device.setting import Skip, embeddings

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.training.events import Event
    from tests.device.setting import Record, Setting

__all__ = ["adamw8bit", "resume", "training_in_8_gb", "training_steps"]

_RECIPE = Recipe(
    batch_size=4,
    max_steps=4,
    learning_rate=1e-3,
    warm_up_steps=0,
    validation=0.0,
    validate_every=None,
    sample_every=None,
    checkpoint_every=1000,
    precision="fp32",
)
_SMALL_CARD = 8e9 - 0.8e9  # without the CUDA context and what the display uses


def training_steps(setting: Setting, record: Record) -> None:
    """Three steps have the CPU's losses."""
    recipe = replace(_RECIPE, max_steps=3)
    expected, found = (
        _Training(setting, f"steps-{device.type}-{number}").losses(recipe, device)
        for number, device in enumerate((torch.device("cpu"), setting.torch_device))
    )
    record("largest relative difference of the losses", _relative(found, expected), at_most=1e-3)


def resume(setting: Setting, record: Record) -> None:
    """A training that was interrupted continues with the same losses, in every precision."""
    for precision in ("fp32", "fp16") if setting.is_tiny else ("fp32", "bf16", "fp16"):
        recipe = replace(_RECIPE, precision=precision, lora_dropout=0.1)
        _compare_resumed(setting, record, recipe, precision)


def adamw8bit(setting: Setting, record: Record) -> None:
    """The 8-bit optimizer trains, and its state is saved."""
    if not setting.is_cuda or find_spec("bitsandbytes") is None:
        raise Skip("needs CUDA and bitsandbytes")
    _compare_resumed(setting, record, replace(_RECIPE, optimizer="adamw8bit"), "adamw8bit")


def training_in_8_gb(setting: Setting, record: Record) -> None:
    """A step of 16 pairs at Stable Diffusion 1.5's size fits in 8 GB, if need be in parts.

    The free memory that the first guess relies on is that of the whole card.
    """
    device = setting.torch_device
    recipe = replace(_RECIPE, batch_size=16, max_steps=3, precision="auto")
    training = _Training(setting, "small", base=setting.large_model()[0], pairs=32)
    if not setting.is_cuda:
        training.losses(recipe, device)
        record("pairs/s", training.pairs_per_second)
        return
    peak_bytes(device, reset=True)
    with limited_memory(device, _SMALL_CARD):
        training.losses(recipe, device)
    record("peak memory, GB", peak_bytes(device) / 1e9, at_most=_SMALL_CARD / 1e9)
    reduced = [event for event in training.events if isinstance(event, MicroBatchReduced)]
    record("pairs at a time", reduced[-1].micro_batch if reduced else recipe.batch_size)
    record("gradient checkpointing", bool(reduced and reduced[-1].gradient_checkpointing))
    record("pairs/s", training.pairs_per_second)
    whole = _Training(setting, "whole", base=training.base, pairs=32)
    idle = torch.cuda.memory_allocated(device)
    peak_bytes(device, reset=True)
    whole.losses(replace(recipe, gradient_checkpointing=False), device)
    record("peak memory without a limit, GB", (peak_bytes(device) - idle) / 1e9)
    record("pairs/s without a limit", whole.pairs_per_second)


class _Training:
    """Trains on random latents, and collects the events."""

    def __init__(
        self, setting: Setting, name: str, *, base: Path | None = None, pairs: int = 12
    ) -> None:
        from covergen.diffusion.base_config import read_config

        self.base = base or setting.small_model()[0]
        self.events: list[Event] = []
        self._output = setting.folder / "trainings" / name
        shape = (pairs, 2, *read_config(self.base).latent_shape)
        latents = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        latents[:, 1] = np.abs(latents[:, 1]) * 0.1
        names = [str(number) for number in range(pairs)]
        self._pairs = Pairs(
            stems=names, albums=names, vectors=embeddings(pairs), latents=from_array(latents)
        )

    def losses(
        self, recipe: Recipe, device: torch.device, *, stop_after: int | None = None
    ) -> list[float]:
        """Train, from the last checkpoint if there is one; return the losses of all steps."""

        def check_interrupted() -> None:
            if stop_after is not None and self._done() >= stop_after:
                raise Interrupted

        train(
            self.base,
            self._pairs,
            recipe,
            self._output,
            names=AdapterNames(title="Check", base="", clap=""),
            device=device,
            emit=self.events.append,
            check_interrupted=check_interrupted,
            resume=(self._output / "checkpoints").exists(),
        )
        return [event.loss for event in self.events if isinstance(event, StepDone)]

    @property
    def pairs_per_second(self) -> float:
        """The rate of the last step."""
        steps = [event for event in self.events if isinstance(event, StepDone)]
        return steps[-1].samples_per_second

    def _done(self) -> int:
        return sum(isinstance(event, StepDone) for event in self.events)


def _compare_resumed(setting: Setting, record: Record, recipe: Recipe, name: str) -> None:
    device = setting.torch_device
    expected = _Training(setting, f"{name}-whole").losses(recipe, device)
    stopped = _Training(setting, f"{name}-stopped")
    try:
        stopped.losses(recipe, device, stop_after=2)
    except Interrupted:
        found = stopped.losses(recipe, device)
    else:
        raise AssertionError("the training was not interrupted")
    record(f"steps, {name}", len(found), at_least=recipe.max_steps)
    tolerance = 1e-5 if name == "fp32" else 1e-2
    difference = _relative(found, expected)
    record(f"largest relative difference of the losses, {name}", difference, at_most=tolerance)
    record(f"identical, {name}", found == expected)


def _relative(found: list[float], expected: list[float]) -> float:
    pairs = zip(found, expected, strict=True)
    return max(abs(one - other) / abs(other) for one, other in pairs)
