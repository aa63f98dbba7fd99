"""The harness that kills machines fails when it should, and ends."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import machines
from tests.faults import __main__, ray_run
from tests.machines import Machine


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_says_whether_a_trial_failed_or_crashed(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = [sys.executable, "-c", f"print('the report'); exit({code})"]
    monkeypatch.setattr(ray_run, "can_isolate", lambda: True)
    monkeypatch.setattr(ray_run, "isolated", lambda *_: trials)
    monkeypatch.setattr(sys, "argv", ["faults", "ray"])
    with pytest.raises(SystemExit) as exited:
        __main__.main()
    assert exited.value.code == bool(code)
    assert "the report" in capsys.readouterr().out


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Machine]:
    """A machine that never joins a cluster."""
    log = tmp_path / "log"
    log.write_text("not yet")
    with subprocess.Popen(["sleep", "60"]) as process:
        yield Machine("box", "10.77.0.9", process, log)
        process.kill()


def test_a_machine_that_does_not_start_is_waited_for_with_a_limit(
    silent: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "_PATIENCE_SECONDS", 0.1)
    with pytest.raises(AssertionError, match="not yet"):
        silent.wait()


def test_only_a_machine_that_ran_counts_as_killed(silent: Machine) -> None:
    assert not silent.kill()
    assert silent.process.poll() is not None
