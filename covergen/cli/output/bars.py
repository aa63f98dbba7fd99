"""Progress bars on stderr, and nothing where that is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any, Never

    from tqdm import tqdm

__all__ = ["aside", "bar", "pace"]


def bar(name: str, noun: str, *, total: int | None = None, hidden: bool = False) -> tqdm[Never]:
    """A bar that counts; without a total, what was counted and the rate. `noun` is singular."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]  # it takes none when it runs
        """Counts whole things, though parts of them may be done."""

        @property
        def format_dict(self) -> dict[str, Any]:
            """Adds `counted` and `pace` to what a format may name."""
            known = dict(super().format_dict)
            done, seconds = known["n"] - known["initial"], known["elapsed"]
            rate = known["rate"] or (done / seconds if seconds else 0.0)
            return known | {"counted": f"{int(known['n'] + 1e-6):,}", "pace": pace(rate, noun)}

    counted = f"{{counted}}/{total:,}" if total is not None else f"{{counted}} {noun}s"
    ends = f" {counted} [{{elapsed}}<{{remaining}}{{pace}}{{postfix}}]"
    return Bar(
        total=total,
        desc=name,
        bar_format=f"{{desc}}: {{percentage:3.0f}}%|{{bar}}|{ends}"
        if total is not None
        else f"{{desc}}: {counted} [{{elapsed}}{{pace}}{{postfix}}]",
        dynamic_ncols=True,
        file=sys.stderr,
        disable=hidden or not sys.stderr.isatty(),
    )


def pace(rate: float, noun: str) -> str:
    """How fast things are done, for the end of a bar: ", 2.5 albums/s", ", 12.4 s/album"."""
    if not rate:
        return ""
    if rate >= 1:
        return f", {rate:,.1f} {noun}s/s"
    return f", {1 / rate:,.1f} s/{noun}"


def aside() -> AbstractContextManager[None]:
    """Lets a line be printed while bars are shown: they step aside and come back below it."""
    from tqdm import tqdm

    return tqdm.external_write_mode(file=sys.stdout)
