"""Progress bars on stderr, hidden if stderr is not a terminal."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Never

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(name: str, noun: str, *, total: int | None = None, hidden: bool = False) -> tqdm[Never]:
    """Return a progress bar, or a counter if there is no total. `noun` is the unit, in singular."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]  # not generic at run time
        """Displays whole numbers, even if `update` adds fractions."""

        @property
        def format_dict(self) -> dict[str, Any]:
            """The fields of tqdm's format, with `counted` and `pace` added."""
            fields = dict(super().format_dict)
            done, seconds = fields["n"] - fields["initial"], fields["elapsed"]
            rate = fields["rate"] or (done / seconds if seconds else 0.0)
            return fields | {"counted": f"{int(fields['n'] + 1e-6):,}", "pace": pace(rate, noun)}

    counted = f"{{counted}}/{total:,}" if total is not None else f"{{counted}} {noun}s"
    ends = f" {counted} [{{elapsed}}<{{remaining}}{{pace}}{{postfix}}]"
    return Bar(
        total=total,
        desc=f"{name + ':':<11}",
        bar_format=f"{{desc}}{{percentage:3.0f}}%|{{bar}}|{ends}"
        if total is not None
        else f"{{desc}}{counted} [{{elapsed}}{{pace}}{{postfix}}]",
        dynamic_ncols=True,
        file=sys.stderr,
        disable=hidden or not sys.stderr.isatty(),
    )


def pace(rate: float, noun: str) -> str:
    """Format a rate for the end of a bar: ", 2.5 albums/s" or ", 12.4 s/album"."""
    if not rate:
        return ""
    if rate >= 1:
        return f", {rate:,.1f} {noun}s/s"
    return f", {1 / rate:,.1f} s/{noun}"


def aside() -> AbstractContextManager[None]:
    """Return a context manager that clears the bars to print a line, then redraws them below."""
    from tqdm import tqdm

    return tqdm.external_write_mode(file=sys.stdout)
