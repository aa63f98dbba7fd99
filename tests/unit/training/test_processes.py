"""Training in several processes gives the same results as in one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from covergen.training.data.examples import Example
from covergen.training.events import Saved, StepDone, TrainingBegun, Validated
from covergen.training.report.log import read_log
from tests.unit.training.trainer import Trainer

pytestmark = pytest.mark.processes

_PROGRAM = """
import json, os, sys
from pathlib import Path
import numpy as np, torch
from covergen.core.errors import Interrupted
from covergen.training.data.examples import Example
from tests.unit.training.trainer import Trainer

def check_interrupted():
    if os.environ["RANK"] == "1" and len(calls) == 7:
        raise Interrupted
    calls.append(1)

calls = []
torch.set_num_threads(1)
base, whole, stopped, pairs_file = map(Path, sys.argv[1:])
pairs = [
    Example(stem=stem, image=Path(image), vector=np.array(vector, np.float32), album=album)
    for stem, image, vector, album in json.loads(pairs_file.read_text())
]
Trainer(base, whole)(pairs, batch_size=7, validation=0.3)
try:
    Trainer(base, stopped)(pairs, check_interrupted=check_interrupted)
except Interrupted:
    print("interrupted")
"""


def run_twice(folder: Path, *arguments: Path) -> list[str]:
    """Run the program in two processes like `accelerate launch`; return their output."""
    program = folder / "program.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    processes = [
        subprocess.Popen(
            [sys.executable, program, *arguments],
            env={**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    output = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return output


def test_two_processes_train_like_one_and_stop_together(
    trainer: Trainer, examples: list[Example], sd1: Path, tmp_path: Path
) -> None:
    """In batches of 7 and of the remaining pairs, shares are unequal, or one process has none."""
    trainer(examples, batch_size=7, validation=0.3)
    pairs = [(e.stem, str(e.image), e.vector.tolist(), e.album) for e in examples]
    (tmp_path / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    output = run_twice(tmp_path, sd1, whole, stopped, tmp_path / "pairs.json")

    log = read_log(whole / "log.jsonl")
    assert [e.processes for e in log if isinstance(e, TrainingBegun)] == [2]
    for kind in (StepDone, Validated):
        found = {event.step: event.loss for event in log if isinstance(event, kind)}
        expected = {event.step: event.loss for event in trainer.emitted(kind)}
        assert found == pytest.approx(expected, rel=1e-5)
    assert (whole / "adapter.safetensors").is_file()

    # Only the second process is interrupted, before step 3: its first 5 checks are for pictures.
    assert output == ["interrupted\n", "interrupted\n"]
    log = read_log(stopped / "log.jsonl")
    assert [e.step for e in log if isinstance(e, Saved)] == [2, 3]
