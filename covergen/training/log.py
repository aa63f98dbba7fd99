"""Events of a training as lines of JSON: those of `log.jsonl`, and of the command's --json."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from covergen.training.events import (
    CheckpointDamaged,
    Event,
    PairLeftOut,
    PictureEncoded,
    Sampled,
    Saved,
    StepDone,
    TrainingBegun,
    Validated,
)

__all__ = ["event_object", "log_line", "read_log"]

_TYPES: dict[str, Callable[..., Event]] = {
    "picture": PictureEncoded,
    "left-out": PairLeftOut,
    "damaged": CheckpointDamaged,
    "begin": TrainingBegun,
    "step": StepDone,
    "validation": Validated,
    "sample": Sampled,
    "checkpoint": Saved,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}


def event_object(event: Event) -> dict[str, Any]:
    """An event as JSON has it: its `type`, then its fields; paths are texts."""
    values = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(event).items()}
    return {"type": _NAMES[type(event)], **values}


def log_line(event: Event) -> str:
    """An event as a line of a log."""
    return json.dumps(event_object(event)) + "\n"


def read_log(path: Path) -> list[Event]:
    """The events of a log, in the order in which they came; none where there is no log.

    A line that a killed training left unfinished is passed over. Raises OSError.
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
