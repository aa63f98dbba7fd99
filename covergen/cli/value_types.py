"""Click parameter types whose errors state the accepted values."""

import math
import re
from pathlib import Path
from typing import Any

import click

_BRACKETS = re.compile(r"\[!?\]?[^]]*\]")  # as in fnmatch


class WholeNumber(click.IntRange):
    """A whole number in a range."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - Click's own
        """Return the placeholder in help pages."""
        return "N"

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

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - Click's own
        """Return the placeholder in help pages."""
        return "X"

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


def device(value: object) -> str:
    """Return a device as PyTorch names it, or "auto". Raises BadParameter."""
    text = str(value).lower()
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,2})?", text):
        raise click.BadParameter(f"{value!r} is not auto, cpu, cuda, cuda:N or mps.")
    return text


def batch_size(value: object) -> int | None:
    """Return a number of covers, or None for "auto". Raises BadParameter."""
    if value == "auto":
        return None
    number = int(str(value)) if str(value).isdecimal() else 0
    if number < 1:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a whole number of at least 1.")
    return number


def cover_glob(value: object) -> str:
    """Return a glob for a file name, or for a subfolder and a file name. Raises BadParameter."""
    glob = str(value)
    parts = glob.split("/")
    if len(parts) > 2 or not all(parts):
        raise click.BadParameter(f"{glob!r} is neither NAME nor FOLDER/NAME.")
    if "**" in glob:
        raise click.BadParameter(f"{glob!r} contains **: write * for any characters.")
    if "[" in _BRACKETS.sub("", glob):
        raise click.BadParameter(f"{glob!r} contains [ without ]: write [[] for that character.")
    return glob


def path_map(value: object) -> tuple[Path, Path]:
    """Return a folder on this machine and the same folder on the workers, given as FROM=TO.

    Both are absolute. Raises BadParameter.
    """
    source, separator, target = str(value).partition("=")
    if not (source and separator and Path(target).is_absolute()):
        raise click.BadParameter(f"{value!r} is not FROM=TO with an absolute path TO.")
    return Path(source).absolute(), Path(target)
