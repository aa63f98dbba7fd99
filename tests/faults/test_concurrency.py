"""Writers and a reader on one library never see or leave a partial file.

This is a sample; run `python -m tests.faults concurrency` for more.
"""

from tests.faults.concurrency_run import run


def test_concurrent_processes_are_safe() -> None:
    report = run(count=1, containers=("flac", "mp3"))

    assert not report.faults, report
    assert report.counts["complete files read"] > 0
    assert report.counts["complete files read with the new cover"] > 0
    assert report.counts["commands that reported another one running"] > 0
