"""The folder that a training writes into, and what of a training lies in it. Needs no torch."""

import re
from pathlib import Path

from covergen.core.errors import UsageError

__all__ = ["ADAPTER", "check_output", "last_step", "saved_steps"]

ADAPTER = "adapter.safetensors"
"""What a finished training leaves in its folder."""

_SUMS = re.compile(r"step-(\d+)\.sha256")
_OWN = {ADAPTER, "checkpoints", "log.jsonl", "report.html", "samples", "tensorboard"}


def check_output(output: Path, *, resume: bool) -> None:
    """Raise UsageError where other things, or another training's results, lie in the way."""
    try:
        names = {path.name for path in output.iterdir() if not path.name.startswith(".")}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{output} is no place for a training: {error.strerror}.") from error
    if names and not names & _OWN:
        raise UsageError(
            f"{output} holds other things and no training: name a new or an empty folder."
        )
    if not resume and (ADAPTER in names or last_step(output / "checkpoints") is not None):
        raise UsageError(
            f"{output} holds a training already.",
            hint="Go on with it by --resume, or choose another folder.",
        )


def last_step(checkpoints: Path) -> int | None:
    """The step of the last checkpoint, whole or not."""
    return next(iter(saved_steps(checkpoints)), None)


def saved_steps(checkpoints: Path) -> list[int]:
    """The steps of the checkpoints in a folder, the last first."""
    found = (_SUMS.fullmatch(path.name) for path in checkpoints.glob("step-*.sha256"))
    return sorted((int(match[1]) for match in found if match), reverse=True)
