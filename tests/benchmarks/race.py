"""The rows of a benchmark: two implementations timed alternately, or a single figure."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Figure", "Missing", "Race", "Result", "Row", "Setting", "machine", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The model size and the device. `folder` is empty, and removed afterwards."""

    size: Literal["starter", "sd15"]
    device: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Two implementations of the same work, each a function without arguments.

    One call does `units` of work, or `reference_units` for the reference if given; speed is units
    per second. `at_least` is the goal for covergen's speed relative to the reference's, `at_most`
    for its relative time. With `warm_up`, both are called once before they are timed. The calls
    may fill `counts`.
    """

    name: str
    covergen: Callable[[], object]
    reference: Callable[[], object]
    unit: str
    units: float = 1
    reference_units: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    rounds: int = 5
    warm_up: bool = True
    counts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A single value with its own goal."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    counts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A row that cannot be measured on this machine, with the reason."""

    name: str
    reason: str


Row = Race | Figure | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A measured row, as text and as JSON values."""

    lines: list[str]
    values: dict[str, Any]


def measure(row: Row, rounds: int | None = None) -> Result:
    """Measure a row; `rounds` overrides a race's own."""
    if isinstance(row, Race):
        return _run(replace(row, rounds=rounds or row.rounds))
    if isinstance(row, Figure):
        return _state(row)
    return Result(
        lines=[row.name, f"  not measured: {row.reason}"],
        values={"name": row.name, "missing": row.reason},
    )


def machine(device: str) -> str:
    """Describe the hardware; imports torch only for a CUDA device."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{platform.machine()}, {cores} cores, load {os.getloadavg()[0]:.1f}"
    if device.startswith("cuda"):
        import torch

        text += f", {torch.cuda.get_device_name(device)}"
    return text


def _run(race: Race) -> Result:
    sides = {"covergen": race.covergen, "reference": race.reference}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1 if race.warm_up else 0, race.rounds):
        for name, call in sides.items():
            start, busy = time.perf_counter(), _processor_seconds()
            call()
            if number >= 0:
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(_processor_seconds() - busy)
    units = {"covergen": race.units, "reference": race.reference_units or race.units}
    speeds = {name: [units[name] / s for s in seconds[name]] for name in sides}
    pairs = list(zip(speeds["covergen"], speeds["reference"], strict=True))
    ratios = [b / a if race.at_most is not None else a / b for a, b in pairs]
    ratio = statistics.median(ratios)
    each = {name: statistics.median(taken) / units[name] for name, taken in processor.items()}
    goal, reached = _compare(ratio, race.at_least, race.at_most, "×")
    quantity = "time" if race.at_most is not None else "speed"
    lines = [race.name]
    lines += [f"  {name:<10}{_spread(values, f'{race.unit}/s')}" for name, values in speeds.items()]
    lines += [f"  {quantity:<10}{_spread(ratios, '×')}{goal}"]
    if min(each.values()) > 0:
        per_unit = ", ".join(f"{value:.3g} s by {name}" for name, value in each.items())
        lines += [f"  processor time per unit ({race.unit}): {per_unit}"]
    lines += [f"  {name}: {value}" for name, value in race.counts.items()]
    values = {
        "name": race.name,
        "unit": race.unit,
        "units": units,
        "seconds": seconds,
        "processor_seconds": processor,
        "ratio": ratio,
        "ratios": ratios,
        "at_least": race.at_least,
        "at_most": race.at_most,
        "reached": reached,
        "counts": dict(race.counts),
    }
    return Result(lines=lines, values=values)


def _processor_seconds() -> float:
    """The CPU time of this process and its children, which is less affected by other load."""
    return sum(os.times()[:4])


def _state(figure: Figure) -> Result:
    goal, reached = _compare(figure.value, figure.at_least, figure.at_most, f" {figure.unit}")
    lines = [figure.name, f"  {figure.value:.3g} {figure.unit}{goal}"]
    lines += [f"  {name}: {value}" for name, value in figure.counts.items()]
    values = {
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "at_least": figure.at_least,
        "at_most": figure.at_most,
        "reached": reached,
        "counts": dict(figure.counts),
    }
    return Result(lines=lines, values=values)


def _compare(
    value: float, at_least: float | None, at_most: float | None, unit: str
) -> tuple[str, bool | None]:
    """Describe the goal, and return whether it is reached; None if there is no goal."""
    if at_least is not None:
        text, reached = f"at least {at_least:g}{unit}", value >= at_least
    elif at_most is not None:
        text, reached = f"at most {at_most:g}{unit}", value <= at_most
    else:
        return "", None
    return f"   goal {text}: {'reached' if reached else 'MISSED'}", reached


def _spread(values: list[float], unit: str) -> str:
    """Format the median and the range."""
    middle = statistics.median(values)
    return f"{middle:8.3g} {unit}  ({min(values):.3g} to {max(values):.3g}, n = {len(values)})"
