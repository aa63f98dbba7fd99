"""Progress bars on stderr, and nothing where that is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tqdm import tqdm

__all__ = ["aside", "bar"]


def bar(name: str, unit: str, *, total: int | None = None, hidden: bool = False) -> tqdm[Never]:
    """A bar that counts; without a total, what was counted and the rate."""
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc=name,
        unit=f" {unit}",
        dynamic_ncols=True,
        file=sys.stderr,
        disable=hidden or not sys.stderr.isatty(),
    )


def aside() -> AbstractContextManager[None]:
    """Lets a line be printed while bars are shown: they step aside and come back below it."""
    from tqdm import tqdm

    return tqdm.external_write_mode(file=sys.stdout)
