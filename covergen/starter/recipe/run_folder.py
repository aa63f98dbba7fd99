"""The context of a training run: recipe, folder, device and time limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.errors import Interrupted

if TYPE_CHECKING:
    import torch

    from covergen.starter.recipe.settings import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A training run.

    `folder` contains the rendered data, the checkpoints and the exported models. `late` returns
    whether the time limit has passed. `initial` is a folder of exported models, whose latents and
    weights training starts from; by default the latents are fitted and the weights are random.
    """

    folder: Path
    recipe: Recipe
    device: torch.device
    late: Callable[[], bool]
    initial: Path | None = None

    def stop_if_late(self) -> None:
        """Raise Interrupted if the time limit has passed."""
        if self.late():
            raise Interrupted
