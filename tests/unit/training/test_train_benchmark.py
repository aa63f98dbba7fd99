"""The training benchmark, with step results one step behind as on a GPU."""

from pathlib import Path
from threading import Thread

import pytest
import torch

from covergen.training import loop
from covergen.training.examples import Example
from tests.benchmarks import train as benchmark
from tests.unit.training.trainer import QUICK


def test_benchmark_does_not_deadlock_when_steps_are_queued(
    sd1: Path, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (loop, benchmark):
        monkeypatch.setattr(module, "steps_ahead", lambda _: 1)
    done = []

    def run() -> None:
        stepper = benchmark._stepper(sd1, examples, QUICK, tmp_path, torch.device("cpu"))
        with stepper as make_steps:
            make_steps(1)
            make_steps(2)
            done.append(3)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert done == [3]
