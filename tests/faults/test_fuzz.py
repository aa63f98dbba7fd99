"""Damaged files cause no traceback, hang or high memory use, and are unchanged or complete.

This is a sample; run `python -m tests.faults fuzz` for more.
"""

import sys

import pytest

from tests.faults.fuzz_run import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory with /proc")


def test_corrupted_files_are_handled() -> None:
    report = run(seed=1, count=200)

    assert not report.faults, report
    assert report.scanned > 100, report
    assert report.written > 50, report
