"""Click parameter types for numbers whose errors state the accepted range."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["Number", "WholeNumber"]


class WholeNumber(click.IntRange):
    """A whole number in a range."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - any TOML type, from config.toml
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Return the number. Raises BadParameter with the accepted range."""
        problem = f"{str(value)!r} is not a whole number{_range(self)}."
        if isinstance(value, bool | float):
            self.fail(problem, param, ctx)
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(problem, param, ctx)


class Number(click.FloatRange):
    """A finite number in a range."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as above
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number. Raises BadParameter with the accepted range."""
        problem = f"{str(value)!r} is not a number{_range(self)}."
        try:
            number = super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(problem, param, ctx)
        if isinstance(value, bool) or not math.isfinite(number):
            self.fail(problem, param, ctx)
        return number


def _range(kind: click.IntRange | click.FloatRange) -> str:
    if kind.min is not None and kind.max is not None and not (kind.min_open or kind.max_open):
        return f" from {kind.min} to {kind.max}"
    limits = []
    if kind.min is not None:
        limits.append(f"{'more than' if kind.min_open else 'at least'} {kind.min}")
    if kind.max is not None:
        limits.append(f"{'less than' if kind.max_open else 'at most'} {kind.max}")
    return f" of {' and '.join(limits)}"
