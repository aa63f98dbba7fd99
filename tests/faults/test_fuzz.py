"""Harmed files: no traceback, no hang, little memory, and each is as it was or whole.

A sample; the full count is `python -m tests.faults fuzz`.
"""

import sys

import pytest

from tests.faults.fuzz_run import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="others tell memory otherwise")


def test_corrupted_files_are_handled() -> None:
    report = run(seed=1, count=400)

    assert not report.faults, report
    assert report.scanned > 200, report
    assert report.written > 100, report
