"""The training report: a self-contained HTML page without scripts or network requests."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from covergen.core.atomic_write import write_whole
from covergen.training.events import (
    LOSSES_TOGETHER,
    PairLeftOut,
    Sampled,
    StepDone,
    TrainingBegun,
    Validated,
)
from covergen.training.output_folder import BEST_ADAPTER
from covergen.training.report.chart import make_chart
from covergen.training.report.log import read_log
from covergen.training.report.sample_sheet import SAMPLES

if TYPE_CHECKING:
    from covergen.training.recipe import Recipe
    from covergen.training.report.chart import Chart
    from covergen.training.training_run import AdapterNames


# Descriptions of values that are unclear on their own.
_DESCRIPTIONS: Mapping[tuple[str, object], str] = {
    ("empty_prompt", "masked"): "with its attention mask, as in art-from-audio",
    ("empty_prompt", "plain"): "without a mask, as in diffusers",
    ("gradient_checkpointing", None): "if memory is short",
    ("keep_checkpoints", None): "all",
    ("max_steps", None): "from the epochs",
    ("precision", "auto"): "chosen for the device",
    ("projection_lr", None): "the learning rate",
    ("resolution", None): "the base's own",
    ("sample_every", None): "never",
    ("tokens", None): "chosen to fill the prompt",
    ("validate_every", None): "never",
}
_MAX_SHEETS = 8
_SHEET_PIXELS = 1200  # the width of the page on a high-density screen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """Covers painted after `step`. `source`: the picture as a data URL."""

    step: int
    source: str


def write_report(
    output: Path,
    recipe: Recipe,
    names: AdapterNames,
    *,
    dataset: str,
    init: str = "",
    left_out: Mapping[str, str],
) -> Path:
    """Write `output`/report.html from the log and the samples in `output`; return its path.

    `dataset` is the name of the dataset. `init` is the adapter that the training started from, ""
    for none. `left_out` maps the stem of each pair that was left out
    before the training to the reason; pairs that the training left out are in its log. Raises
    OSError.
    """
    events = read_log(output / "log.jsonl")
    start = next((e for e in reversed(events) if isinstance(e, TrainingBegun)), None)
    steps = [e for e in events if isinstance(e, StepDone) and math.isfinite(e.loss)]
    # By step, since a resumed training repeats the validation and samples of its first step.
    losses = {e.step: e for e in events if isinstance(e, Validated) and math.isfinite(e.loss)}
    validated = list(losses.values())
    sampled = {e.step: output / SAMPLES / e.path.name for e in events if isinstance(e, Sampled)}
    reasons = dict(left_out) | {e.stem: e.reason for e in events if isinstance(e, PairLeftOut)}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        names=names,
        summary=_summary(start, steps, validated),
        figures=list(_figures(start, steps, validated)),
        charts=list(_charts(steps, validated)),
        sheets=list(_sheets(sampled)),
        settings=[
            ("dataset", dataset),
            *([("init", init)] if init else ()),
            *_settings(recipe, names),
        ],
        left_out=sorted(reasons.items()),
    )
    path = output / "report.html"
    write_whole(path, page.encode(errors="backslashreplace"))
    return path


def _summary(
    start: TrainingBegun | None, steps: Sequence[StepDone], validated: Sequence[Validated]
) -> str:
    if start is None or not steps:
        return "No training steps were completed."
    status = "Finished" if steps[-1].step >= start.steps else f"Stopped before step {start.steps:,}"
    processes = f", in {start.processes} processes" if start.processes > 1 else ""
    text = f"{status}. Trained on {start.device}{processes}, in {start.precision}."
    if not validated:
        return text
    best = min(validated, key=lambda event: event.loss)
    return f"{text} {BEST_ADAPTER} is from step {best.step:,}, with the lowest validation loss."


def _figures(
    start: TrainingBegun | None, steps: Sequence[StepDone], validated: Sequence[Validated]
) -> Iterator[tuple[str, str]]:
    if start is not None:
        yield "training pairs", f"{start.pairs:,}"
        yield "validation pairs", f"{start.validation_pairs:,}"
        yield "parameters", f"{start.trainable:,}"
    if steps:
        tail = steps[-LOSSES_TOGETHER:]
        yield "steps", f"{steps[-1].step:,}"
        yield _time(steps[-1].seconds)
        yield "loss, last steps", f"{sum(step.loss for step in tail) / len(tail):.4f}"
    if validated:
        yield "validation loss", f"{validated[-1].loss:.4f}"
        yield "lowest validation loss", f"{min(event.loss for event in validated):.4f}"


def _time(seconds: float) -> tuple[str, str]:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return "time (h:min:s)", f"{hours}:{minutes:02}:{rest:02}"
    return "time (min:s)", f"{minutes}:{rest:02}"


def _charts(
    steps: Sequence[StepDone], validated: Sequence[Validated]
) -> Iterator[tuple[str, Chart]]:
    if steps:
        losses = [event.loss for event in steps]
        yield "Loss", make_chart([event.step for event in steps], losses, smooth=True)
    if validated:
        losses = [event.loss for event in validated]
        yield (
            "Validation loss",
            make_chart([event.step for event in validated], losses, smooth=False),
        )


def _sheets(sampled: Mapping[int, Path]) -> Iterator[_Sheet]:
    """The first and the last sheet, and up to six evenly spaced ones between them."""
    existing = [(step, path) for step, path in sampled.items() if path.is_file()]
    count = min(len(existing), _MAX_SHEETS)
    for index in np.unique(np.linspace(0, len(existing) - 1, count).round().astype(int)):
        step, path = existing[index]
        yield _Sheet(step=step, source=_data_url(path))


def _data_url(path: Path) -> str:
    """Encode a picture as a data URL, no larger than it is displayed."""
    stream = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((_SHEET_PIXELS, 1 << 16))
        image.convert("RGB").save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _settings(recipe: Recipe, names: AdapterNames) -> Iterator[tuple[str, str]]:
    yield "base", names.base
    yield "clap", names.clap
    yield from names.extras.items()
    for name, value in asdict(recipe).items():
        yield name.replace("_", " "), _format_setting(name, value)


def _format_setting(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _DESCRIPTIONS.get((name, value), "none" if value is None else str(value))
