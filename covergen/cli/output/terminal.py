"""Fit lines into a terminal."""

from __future__ import annotations

import os
from typing import TextIO

_LEAST_COLUMNS = 12  # for less, a line that the terminal wraps says more


def columns_of(stream: TextIO) -> int | None:
    """Return the width of a terminal, None if the stream is not one or its width is unknown."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


def shortened(text: str, columns: int) -> str:
    """Shorten a text in the middle so that it takes at most `columns` on the screen."""
    from tqdm.utils import disp_len  # counts wide characters as two

    if columns < _LEAST_COLUMNS or disp_len(text) <= columns:
        return text
    kept = text[:columns] + text[-columns:]
    while disp_len(kept) >= columns:
        kept = kept[: len(kept) // 2] + kept[len(kept) // 2 + 1 :]
    middle = (len(kept) + 1) // 2
    return f"{kept[:middle]}…{kept[middle:]}"
