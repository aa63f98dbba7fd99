"""Machines with other mounts than the driver's.

This is a sample; run `python -m tests.faults ray` to kill them, too.
"""

import pytest

from tests.faults.ray_run import run
from tests.machines import can_isolate


@pytest.mark.ray
def test_machines_read_the_library_at_their_own_path() -> None:
    if not can_isolate():
        pytest.skip("needs root, and the programs ip and unshare")
    report = run(count=0)

    assert "0  faults" in report, report
    assert "15  albums painted with a path map" in report
