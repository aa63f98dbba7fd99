"""The checks, the most important first, since the time may run out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.device.setting import Record, Setting

__all__ = ["CHECKS", "Check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A function of the same name in a module of this package, and its time limit."""

    module: str
    name: str
    seconds: float

    def run(self, setting: Setting, record: Record) -> None:
        """Run the check in this process."""
        module = import_module(f"tests.device.{self.module}")
        getattr(module, self.name.replace("-", "_"))(setting, record)


CHECKS = (
    Check(module="machine", name="machine", seconds=60),  # imports torch, starts CUDA
    Check(module="pictures", name="same-as-cpu", seconds=30),
    Check(module="pictures", name="half-precision", seconds=30),
    Check(module="pictures", name="batches", seconds=30),
    Check(module="pictures", name="out-of-memory", seconds=30),
    Check(module="pictures", name="overflowing-vae", seconds=30),
    Check(module="pictures", name="schedulers", seconds=40),
    Check(module="encoder", name="encoder-precision", seconds=30),
    Check(module="training", name="training-steps", seconds=30),
    Check(module="training", name="resume", seconds=30),
    Check(module="encoder", name="encoder-speed", seconds=40),
    Check(module="speed", name="painting-speed", seconds=60),
    Check(module="training", name="training-in-8-gb", seconds=60),
    Check(module="training", name="adamw8bit", seconds=30),
    Check(module="speed", name="compiled-speed", seconds=120),
)
