"""Checkpoints: an adapter that can be used, and beside it what its training needs to go on.

    step-N.safetensors          the adapter
    step-N.state.safetensors    weights, their average, the optimizer's moments; metadata says the
                                settings of the training
    step-N.sha256               the digests of both, as sha256sum writes and checks them

The last is written last: a checkpoint without it is none.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from covergen.core.errors import TrainingError
from covergen.core.files import write_whole
from covergen.diffusion.adapter_file import write_tensors
from covergen.training.events import CheckpointDamaged
from covergen.training.output import saved_steps

__all__ = ["Checkpoint", "find_checkpoint", "save_checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint, read. `said` is what `save_checkpoint` was told."""

    step: int
    said: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def save_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    said: Mapping[str, Any],
    *,
    save_adapter: Callable[[Path], None],
    keep: int | None,
) -> Path:
    """Write a checkpoint, then delete all but the last `keep`; returns the adapter's path.

    Those of later steps go, too: a training goes on from before them only if they are damaged.
    `said` is anything that JSON can hold. Raises ModelError or OSError where it cannot be written.
    """
    adapter, state, sums = _files(folder, step)
    save_adapter(adapter)
    write_tensors(state, tensors, {"covergen.training": json.dumps(said)})
    lines = [f"{_digest(path)}  {path.name}\n" for path in (adapter, state)]
    write_whole(sums, "".join(lines).encode())
    steps = saved_steps(folder)
    kept = [number for number in steps if number <= step][:keep]
    for other in set(steps) - set(kept):
        for path in reversed(_files(folder, other)):
            path.unlink(missing_ok=True)
    return adapter


def find_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[CheckpointDamaged]]:
    """Read the last checkpoint that is whole, None where there is none at all.

    Also tells of later ones that are not. Raises TrainingError where no other is left.
    """
    damaged: list[CheckpointDamaged] = []
    for step in saved_steps(folder):
        adapter, state, _ = _files(folder, step)
        problem = _problem(folder, step)
        if problem is None:
            with safe_open(state, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
                said = json.loads(file.metadata()["covergen.training"])
            return Checkpoint(step=step, said=said, tensors=tensors), damaged
        damaged.append(CheckpointDamaged(path=adapter, reason=problem))
    if damaged:
        raise TrainingError(
            f"{folder}: none of its checkpoints is whole, the last since {damaged[0].reason}.",
            hint="Train anew into another folder. An adapter among them may still work.",
        )
    return None, damaged


def _problem(folder: Path, step: int) -> str | None:
    """What is wrong with a checkpoint, if anything."""
    adapter, state, sums = _files(folder, step)
    try:
        said = sums.read_text(encoding="ascii").split()
        for path in (adapter, state):
            if [_digest(path), path.name] not in (said[:2], said[2:]):
                return f"{path.name} is not as it was written"
    except (OSError, ValueError) as error:
        return f"it cannot be read: {error}"
    return None


def _files(folder: Path, step: int) -> tuple[Path, Path, Path]:
    """The adapter, the state, and the digests of both."""
    stem = f"step-{step}"
    return (
        folder / f"{stem}.safetensors",
        folder / f"{stem}.state.safetensors",
        folder / f"{stem}.sha256",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
