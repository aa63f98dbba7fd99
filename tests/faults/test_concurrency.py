"""Writers and a reader at one library: nobody sees or leaves half a file.

A sample; more of it is `python -m tests.faults concurrency`.
"""

from tests.faults.concurrency_run import run


def test_concurrent_processes_are_safe() -> None:
    report = run(count=1, containers=("flac", "mp3"))

    assert not report.faults, report
    assert report.counts["whole files read meanwhile"] > 0
    assert report.counts["of them with their new cover"] > 0
    assert report.counts["commands that found another at work, and said so"] > 0
