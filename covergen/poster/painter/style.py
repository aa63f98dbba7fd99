"""Styles: the family, composition and position to paint, in the words of captions."""

from __future__ import annotations

from dataclasses import dataclass

from covergen.poster.painter.caption import COMPOSITIONS

_CENTRED = "centred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A family. The painter chooses the composition if None, and the position unless `centred`.

    Some compositions fill the picture, and have no position.
    """

    family: str
    composition: str | None = None
    centred: bool = False


def parse_style(text: str) -> Style:
    """Parse a style such as "record grooves, arches, centred".

    Raises ValueError with the available words if one is unknown.
    """
    first, *rest = (part.strip() for part in text.lower().split(","))
    if first not in COMPOSITIONS:
        raise ValueError(f"Available styles: {', '.join(COMPOSITIONS)}.")
    compositions = [part for part in rest if part in COMPOSITIONS[first]]
    if len(compositions) > 1 or not {*rest} <= {*compositions, _CENTRED}:
        available = ", ".join(COMPOSITIONS[first])
        raise ValueError(f"{first!r} can be followed by one of {available}, and by {_CENTRED}.")
    return Style(
        family=first,
        composition=compositions[0] if compositions else None,
        centred=_CENTRED in rest,
    )
