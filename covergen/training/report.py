"""What a training did, as a page that needs nothing but itself: no network, no script."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from covergen.core.files import write_whole
from covergen.training.chart import make_chart
from covergen.training.events import (
    LOSSES_TOGETHER,
    PairLeftOut,
    Sampled,
    StepDone,
    TrainingBegun,
    Validated,
)
from covergen.training.log import read_log
from covergen.training.sheet import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from covergen.training.chart import Chart
    from covergen.training.recipe import Recipe
    from covergen.training.train import Names

__all__ = ["write_report"]

# What values that say little by themselves mean.
_WORDS: Mapping[tuple[str, object], str] = {
    ("empty_prompt", "masked"): "with its mask, as art-from-audio",
    ("empty_prompt", "plain"): "whole, as diffusers",
    ("keep_checkpoints", None): "all",
    ("max_steps", None): "as the epochs have",
    ("precision", "auto"): "as the device has it",
    ("resolution", None): "as the base paints",
    ("sample_every", None): "never",
    ("tokens", None): "as fill the prompt",
    ("validate_every", None): "never",
}
_MOST_SHEETS = 8
_SHEET_PIXELS = 1200  # as wide as the page on a sharp screen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """Covers painted after `step`. `source`: the picture itself, as a URL."""

    step: int
    source: str


def write_report(
    output: Path, recipe: Recipe, names: Names, *, dataset: str, left_out: Mapping[str, str]
) -> Path:
    """Write `output`/report.html from the log and the samples in `output`; returns its path.

    `dataset` is its name. `left_out` gives a reason for each pair, by its stem, that was left out
    before the training; those that the training itself left out stand in its log. Raises OSError.
    """
    events = read_log(output / "log.jsonl")
    begun = next((e for e in reversed(events) if isinstance(e, TrainingBegun)), None)
    steps = [e for e in events if isinstance(e, StepDone) and math.isfinite(e.loss)]
    # By step, since what is due after a step is done again when a training goes on from there.
    judged = {e.step: e for e in events if isinstance(e, Validated) and math.isfinite(e.loss)}
    validated = list(judged.values())
    sampled = {e.step: output / SAMPLES / e.path.name for e in events if isinstance(e, Sampled)}
    reasons = dict(left_out) | {e.stem: e.reason for e in events if isinstance(e, PairLeftOut)}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        names=names,
        summary=_summary(begun, steps),
        figures=list(_figures(begun, steps, validated)),
        charts=list(_charts(steps, validated)),
        sheets=list(_sheets(sampled)),
        settings=[("dataset", dataset), *_settings(recipe, names)],
        left_out=sorted(reasons.items()),
    )
    path = output / "report.html"
    write_whole(path, page.encode(errors="backslashreplace"))
    return path


def _summary(begun: TrainingBegun | None, steps: Sequence[StepDone]) -> str:
    if begun is None or not steps:
        return "No step was made."
    done = "Finished" if steps[-1].step >= begun.steps else f"Stopped before step {begun.steps:,}"
    processes = f", in {begun.processes} processes" if begun.processes > 1 else ""
    return f"{done}. Trained on {begun.device}{processes}, in {begun.precision}."


def _figures(
    begun: TrainingBegun | None, steps: Sequence[StepDone], validated: Sequence[Validated]
) -> Iterator[tuple[str, str]]:
    if begun is not None:
        yield "pairs", f"{begun.pairs:,}"
        yield "pairs held back", f"{begun.validation_pairs:,}"
        yield "parameters", f"{begun.trainable:,}"
    if steps:
        tail = steps[-LOSSES_TOGETHER:]
        yield "steps", f"{steps[-1].step:,}"
        yield _time(steps[-1].seconds)
        yield "loss, last steps", f"{sum(step.loss for step in tail) / len(tail):.4f}"
    if validated:
        yield "loss, held back", f"{validated[-1].loss:.4f}"


def _time(seconds: float) -> tuple[str, str]:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return "hours", f"{hours}:{minutes:02}:{rest:02}"
    return "minutes", f"{minutes}:{rest:02}"


def _charts(
    steps: Sequence[StepDone], validated: Sequence[Validated]
) -> Iterator[tuple[str, Chart]]:
    if steps:
        losses = [event.loss for event in steps]
        yield "Loss", make_chart([event.step for event in steps], losses, smooth=True)
    if validated:
        losses = [event.loss for event in validated]
        yield (
            "Loss of the pairs held back",
            make_chart([event.step for event in validated], losses, smooth=False),
        )


def _sheets(sampled: Mapping[int, Path]) -> Iterator[_Sheet]:
    """The first and the last sheet, and as many between them as a page can bear."""
    there = [(step, path) for step, path in sampled.items() if path.is_file()]
    count = min(len(there), _MOST_SHEETS)
    for index in np.unique(np.linspace(0, len(there) - 1, count).round().astype(int)):
        step, path = there[index]
        yield _Sheet(step=step, source=_embedded(path))


def _embedded(path: Path) -> str:
    """The picture as a data URL, no larger than it is shown."""
    stream = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((_SHEET_PIXELS, 1 << 16))
        image.convert("RGB").save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _settings(recipe: Recipe, names: Names) -> Iterator[tuple[str, str]]:
    yield "base", names.base
    yield "clap", names.clap
    for name, value in asdict(recipe).items():
        yield name.replace("_", " "), _shown(name, value)


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _WORDS.get((name, value), "none" if value is None else str(value))
