"""`python -m tests.device` runs on a CPU with tiny models, so that it works when a GPU is lent."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.device.checks import CHECKS
from tests.device.setting import Setting
from tests.device.worker import Worker

ROOT = Path(__file__).parents[2]
# Not installed on the machine with the GPU, or not needed there.
ABSENT = ("anyascii", "av", "fontTools", "mutagen", "tomlkit")


def test_checks_pass_on_a_cpu(tmp_path: Path) -> None:
    """All but one: compiling takes longer than the others together."""
    checks = [check.name for check in CHECKS if check.name != "compiled-speed"]
    for name in ABSENT:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not installed')\n")
    out = tmp_path / "out"
    result = subprocess.run(
        [sys.executable, "-m", "tests.device", *checks, "--device", "cpu", "--out", out],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""  # libraries print nothing, whichever scheduler paints
    assert result.stdout == (out / "summary.txt").read_text(encoding="utf-8")
    lines = (out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    outcomes = {o["check"]: o["outcome"] for line in lines if "outcome" in (o := json.loads(line))}
    assert list(outcomes) == checks
    assert [name for name, outcome in outcomes.items() if outcome != "ok"] == ["adamw8bit"]


def test_a_check_that_hangs_or_crashes_is_reported(tmp_path: Path) -> None:
    setting = Setting(device="cpu", size="tiny", folder=tmp_path)
    worker = Worker(setting)
    try:
        (hung,) = worker.run("machine", seconds=0.01)  # it cannot even import torch
        assert hung == {"outcome": "failed", "problem": "it did not finish in 0 seconds"}
        worker._process.kill()
        *_, crashed = worker.run("machine", seconds=30)
        assert crashed == {"outcome": "failed", "problem": "the process ended with exit code -9"}
    finally:
        worker.kill()
