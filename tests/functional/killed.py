"""A covergen that is killed in the midst of its writes: `python -m tests.functional.killed N …`.

It gets the arguments after N, and SIGKILL when it is about to replace its Nth file.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from covergen.cli.main import main
from covergen.journal import restore as undo
from covergen.library.writing import rewrite

__all__ = ["run_killed"]


def run_killed(at: int, *arguments: object) -> None:
    """Run covergen in a process of its own until it is killed."""
    command = [sys.executable, "-m", __name__, str(at), *map(str, arguments)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def _kill_at(at: int) -> None:
    replaced = 0
    put_in_place = rewrite.put_in_place

    def fatal(copy: Path, path: Path, before: os.stat_result) -> None:
        nonlocal replaced
        replaced += 1
        if replaced == at:
            os.kill(os.getpid(), signal.SIGKILL)
        put_in_place(copy, path, before)

    for module in (rewrite, undo):
        module.put_in_place = fatal  # type: ignore[attr-defined]  # it is


if __name__ == "__main__":
    _kill_at(int(sys.argv.pop(1)))
    main()
