"""The output folder of a training. Does not import torch."""

import re
from pathlib import Path

from covergen.core.errors import UsageError

ADAPTER = "adapter.safetensors"
"""The file name of the finished adapter."""

BEST_ADAPTER = "adapter-best.safetensors"
"""The file name of the adapter with the lowest validation loss."""

_DIGESTS = re.compile(r"step-(\d+)\.sha256")
_OWN = {ADAPTER, BEST_ADAPTER, "checkpoints", "log.jsonl", "report.html", "samples", "tensorboard"}


def check_output(output: Path, *, resume: bool) -> None:
    """Raise UsageError if the folder holds unrelated files, or a training that is not resumed."""
    try:
        names = {path.name for path in output.iterdir() if not path.name.startswith(".")}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(
            f"{output} cannot be used as the output folder: {error.strerror}."
        ) from error
    if names and not names & _OWN:
        raise UsageError(
            f"{output} contains other files and no training. Choose a new or empty folder."
        )
    if not resume and (ADAPTER in names or last_step(output / "checkpoints") is not None):
        raise UsageError(
            f"{output} already contains a training.",
            hint="Continue it with --resume, or choose another folder.",
        )


def last_step(checkpoints: Path) -> int | None:
    """The step of the last checkpoint, damaged or not, or None."""
    return next(iter(saved_steps(checkpoints)), None)


def saved_steps(checkpoints: Path) -> list[int]:
    """The steps of the checkpoints in a folder, in descending order."""
    found = (_DIGESTS.fullmatch(path.name) for path in checkpoints.glob("step-*.sha256"))
    return sorted((int(match[1]) for match in found if match), reverse=True)
