"""The training benchmark, which counts the steps of a loop that may be ahead of their results."""

from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest
import torch

from covergen.training import loop
from covergen.training.data.examples import Example
from tests.benchmarks import train
from tests.unit.training.trainer import QUICK


@pytest.mark.parametrize("ahead", [0, 1])
def test_every_measured_step_ends(
    ahead: int, sd1: Path, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, the loop queues the next step before it reports one."""
    for module in (loop, train):
        monkeypatch.setattr(module, "steps_ahead", lambda _: ahead)
    recipe = replace(QUICK, max_steps=100, checkpoint_every=100)
    measured: SimpleQueue[int] = SimpleQueue()

    def measure() -> None:
        device = torch.device("cpu")
        with train._stepper(sd1, examples, recipe, tmp_path / "out", device) as make_steps:
            for _ in range(2):
                make_steps(2)
                measured.put(2)

    thread = Thread(target=measure, daemon=True)  # it must not keep the tests from ending
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert measured.qsize() == 2
