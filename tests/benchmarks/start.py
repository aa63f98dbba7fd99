"""Benchmark startup time, compared with importing click."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.race import Race

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.race import Row, Setting

__all__ = ["start"]


def start(_: Setting) -> Iterator[Row]:
    """Run `covergen --help` and `python -c "import click"` in new processes."""
    yield Race(
        name='start: covergen --help, against python -c "import click"',
        covergen=partial(_python, "-m", "covergen", "--help"),
        reference=partial(_python, "-c", "import click"),
        unit="starts",
        at_most=2.5,
        rounds=21,
    )


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
