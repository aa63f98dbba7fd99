"""The context of a training run: recipe, folder, device and time limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.errors import Interrupted, OptionError

if TYPE_CHECKING:
    import torch

    from covergen.starter.recipe.settings import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A training run.

    `folder` contains the rendered data, the checkpoints and the exported models. `late` returns
    whether the time limit has passed. `initial` is a folder of exported models, whose latents and
    weights training starts from; by default the latents are fitted and the weights are random. It
    is the same for all stages.
    """

    folder: Path
    recipe: Recipe
    device: torch.device
    late: Callable[[], bool]
    initial: Path | None = None

    def check_initial(self) -> None:
        """Raise OptionError if the folder was started with other initial weights."""
        latents = self.initial / "latents.safetensors" if self.initial else None
        if latents and not latents.is_file():
            raise OptionError("initial", f"{self.initial} has no {latents.name}.")
        mark = sha256(latents.read_bytes()).hexdigest() if latents else "none"
        record = self.folder / "initial.txt"
        if not record.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            record.write_text(mark)
        elif record.read_text() != mark:
            raise OptionError("initial", f"{self.folder} was started with other initial weights.")

    def stop_if_late(self) -> None:
        """Raise Interrupted if the time limit has passed."""
        if self.late():
            raise Interrupted
