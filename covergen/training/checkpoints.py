"""Checkpoints: a usable adapter, and the state that is needed to resume its training.

    step-N.safetensors          the adapter
    step-N.state.safetensors    weights, their moving average and the optimizer's moments; the
                                metadata holds the settings of the training
    step-N.sha256               the digests of both, in the format of sha256sum

The digests are written last: a checkpoint without them is incomplete and ignored.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from covergen.core.atomic_write import write_whole
from covergen.core.errors import TrainingError
from covergen.diffusion.adapter_file import write_tensors
from covergen.training.events import CheckpointDamaged
from covergen.training.output_folder import saved_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An intact checkpoint, loaded. `metadata` is what `save_checkpoint` was given."""

    step: int
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def save_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    *,
    save_adapter: Callable[[Path], None],
    keep: int | None,
) -> Path:
    """Write a checkpoint, then delete all but the last `keep`; return the adapter's path.

    Checkpoints of later steps are deleted too: training only restarts before them if they are
    damaged. `metadata` must be JSON-serializable. Raises ModelError or OSError if a file cannot be
    written.
    """
    adapter, state, digests = _files(folder, step)
    save_adapter(adapter)
    write_tensors(state, tensors, {"covergen.training": json.dumps(metadata)})
    lines = [f"{_digest(path)}  {path.name}\n" for path in (adapter, state)]
    write_whole(digests, "".join(lines).encode())
    steps = saved_steps(folder)
    kept = [number for number in steps if number <= step][:keep]
    for other in set(steps) - set(kept):
        for path in reversed(_files(folder, other)):
            path.unlink(missing_ok=True)
    return adapter


def find_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[CheckpointDamaged]]:
    """Load the last intact checkpoint, or None if there are no checkpoints.

    Also returns an event for each damaged checkpoint after it. Raises TrainingError if all
    checkpoints are damaged.
    """
    damaged: list[CheckpointDamaged] = []
    for step in saved_steps(folder):
        adapter, state, _ = _files(folder, step)
        problem = _problem(folder, step)
        if problem is None:
            with safe_open(state, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
                metadata = json.loads(file.metadata()["covergen.training"])
            return Checkpoint(step=step, metadata=metadata, tensors=tensors), damaged
        damaged.append(CheckpointDamaged(path=adapter, reason=problem))
    if damaged:
        raise TrainingError(
            f"{folder}: all checkpoints are damaged. The last one: {damaged[0].reason}.",
            hint="Train in another folder. The adapters among the checkpoints may still work.",
        )
    return None, damaged


def _problem(folder: Path, step: int) -> str | None:
    """What is wrong with a checkpoint, or None if it is intact."""
    adapter, state, digests = _files(folder, step)
    try:
        words = digests.read_text(encoding="ascii").split()
        for path in (adapter, state):
            if [_digest(path), path.name] not in (words[:2], words[2:]):
                return f"{path.name} does not match its checksum"
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    return None


def _files(folder: Path, step: int) -> tuple[Path, Path, Path]:
    """The paths of the adapter, the state and the digests."""
    stem = f"step-{step}"
    return (
        folder / f"{stem}.safetensors",
        folder / f"{stem}.state.safetensors",
        folder / f"{stem}.sha256",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
