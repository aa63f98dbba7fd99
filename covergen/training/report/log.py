"""Training events as JSON Lines, for `log.jsonl` and the command's --json."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from covergen.training.events import (
    CheckpointDamaged,
    Event,
    MicroBatchReduced,
    PairLeftOut,
    PictureEncoded,
    Sampled,
    Saved,
    StepDone,
    TrainingBegun,
    Validated,
)

_TYPES: dict[str, Callable[..., Event]] = {
    "picture": PictureEncoded,
    "left-out": PairLeftOut,
    "damaged": CheckpointDamaged,
    "begin": TrainingBegun,
    "micro-batch": MicroBatchReduced,
    "step": StepDone,
    "validation": Validated,
    "sample": Sampled,
    "checkpoint": Saved,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}


def event_object(event: Event) -> dict[str, Any]:
    """Convert an event to a JSON object: its `type`, then its fields, with paths as strings."""
    values = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(event).items()}
    return {"type": _NAMES[type(event)], **values}


def log_line(event: Event) -> str:
    """Format an event as a line of the log."""
    return json.dumps(event_object(event)) + "\n"


def read_log(path: Path) -> list[Event]:
    """Read the events of a log in order; return an empty list if there is no log.

    Incomplete lines, as a killed training leaves them, are skipped. Raises OSError.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: str) -> Event | None:
    try:
        values = json.loads(line)
        if "path" in values:
            values["path"] = Path(values["path"])
        return _TYPES[values.pop("type")](**values)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
