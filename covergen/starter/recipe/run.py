"""One run of the recipe: what, where, on what, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from covergen.core.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from covergen.starter.recipe.settings import Recipe

__all__ = ["Run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`folder` holds the world, the checkpoints and what is exported; `late` ends a stretch."""

    folder: Path
    recipe: Recipe
    device: torch.device
    late: Callable[[], bool]

    def stop_if_late(self) -> None:
        """Raise Interrupted when the stretch is over."""
        if self.late():
            raise Interrupted
