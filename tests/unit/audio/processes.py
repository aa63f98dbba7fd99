"""Helpers of the tests of decoder processes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Windows", "children"]


class Windows:
    """A stand-in for LogMel that returns the windows themselves."""

    repeats = True

    def __call__(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        return waveforms


def children(process: int) -> set[int]:
    """The numbers of the processes that a process has started, and that have not ended.

    None where they are not listed.
    """
    listed = Path(f"/proc/{process}/task").glob("*/children")
    return {int(number) for file in listed for number in file.read_text().split()}
