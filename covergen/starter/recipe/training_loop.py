"""A training loop that stops at a time limit and resumes from its checkpoint.

Every step has its own random seed, so that resuming gives the same weights as an uninterrupted
run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from covergen.compute.device import has_bfloat16
from covergen.core.atomic_write import replacing
from covergen.starter.recipe.muon import Muon

if TYPE_CHECKING:
    from covergen.starter.recipe.run_folder import RunFolder
    from covergen.starter.recipe.settings import Optimization


# Maps between hidden features, for Muon; AdamW trains the rest.
_INNER = (
    "unet.",
    "audio_encoder.audio_model.audio_encoder.layers.",
    "audio_encoder.audio_projection.",
)
_NOT_INNER = ("conv_in.", "conv_out.", "relative_position_bias_table")
_SAVED_EVERY_S = 240.0
_LOGGED_EVERY = 20
_SAMPLED_EVERY_S = 480.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A model to train, with its losses and evaluation.

    `losses(step)` returns the step's losses by name; "loss" is minimized. `evaluate()` is called
    with the averaged weights in `model` and returns metrics for the log.
    """

    run: RunFolder
    name: str
    model: nn.Module
    optimization: Optimization
    losses: Callable[[int], dict[str, Tensor]]
    evaluate: Callable[[], dict[str, float]]

    @property
    def folder(self) -> Path:
        """The folder of the checkpoint, log and sheet."""
        return self.run.folder / self.name


def train(stage: Stage) -> bool:
    """Train until all steps are done or the time limit passes. Return whether all are done."""
    settings, device = stage.optimization, stage.run.device
    bfloat16 = settings.bfloat16 and has_bfloat16(device)
    parameters = [p for p in stage.model.parameters() if p.requires_grad]
    optimizers = make_optimizers(stage.model, settings)
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    average = [p.detach().clone() for p in parameters]
    step, seconds = _resume(stage, optimizers, average)
    saved = sampled = time.monotonic()
    recent: list[dict[str, float]] = []
    stage.model.train()
    started = time.monotonic()
    while step < settings.steps and not stage.run.late():
        torch.manual_seed(settings.seed * 1_000_003 + step)
        share = min(1.0, (step + 1) / settings.warm_up, (settings.steps - step) / settings.cooling)
        for optimizer, highest in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group["lr"] = rate * share
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            losses = stage.losses(step)
        stage.model.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["loss"])
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        _update_average(average, parameters, min(settings.average, (1 + step) / (10 + step)))
        recent.append({name: float(value.detach()) for name, value in losses.items()})
        if step % _LOGGED_EVERY == 0:
            means = {name: fmean(row[name] for row in recent) for name in recent[0]}
            _log(stage, {"step": step, "s": round(seconds + time.monotonic() - started), **means})
            recent = []
        if time.monotonic() - saved > _SAVED_EVERY_S:
            _save(stage, step, seconds + time.monotonic() - started, optimizers, average)
            saved = time.monotonic()
        if time.monotonic() - sampled > _SAMPLED_EVERY_S:
            _evaluate(stage, step, parameters, average)
            sampled = time.monotonic()
    _save(stage, step, seconds + time.monotonic() - started, optimizers, average)
    _evaluate(stage, step, parameters, average)
    return step >= settings.steps


def make_optimizers(model: nn.Module, settings: Optimization) -> list[torch.optim.Optimizer]:
    """Return AdamW alone, or Muon for the inner matrices and AdamW for the rest."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = {
        name: p for name, p in trained.items() if settings.muon and p.ndim > 1 and _is_inner(name)
    }
    rest = [p for name, p in trained.items() if name not in matrices]
    adamw = torch.optim.AdamW(
        rest, lr=settings.rate, betas=(0.9, 0.99), weight_decay=settings.decay
    )
    if not (settings.muon and matrices):
        return [adamw]
    return [Muon(matrices.values(), lr=settings.muon, weight_decay=settings.decay), adamw]


def _is_inner(name: str) -> bool:
    return name.startswith(_INNER) and not any(part in name for part in _NOT_INNER)


def load_average(folder: Path, model: nn.Module) -> int:
    """Load the averaged weights of a stage's checkpoint into the model. Return the step."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    trained = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter, mean in zip(trained, state["average"], strict=True):
            parameter.copy_(mean)
    return int(state["step"])


def _resume(
    stage: Stage, optimizers: list[torch.optim.Optimizer], average: list[Tensor]
) -> tuple[int, float]:
    path = stage.folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location=stage.run.device, weights_only=True)
    stage.model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    for mean, saved in zip(average, state["average"], strict=True):
        mean.copy_(saved)
    return int(state["step"]), float(state["seconds"])


def _save(
    stage: Stage,
    step: int,
    seconds: float,
    optimizers: list[torch.optim.Optimizer],
    average: list[Tensor],
) -> None:
    stage.folder.mkdir(parents=True, exist_ok=True)
    state = {
        "step": step,
        "seconds": seconds,
        "model": stage.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "average": average,
    }
    with replacing(stage.folder / "checkpoint.pt") as new:
        torch.save(state, new)


@torch.no_grad()
def _update_average(average: list[Tensor], parameters: list[nn.Parameter], decay: float) -> None:
    torch._foreach_lerp_(average, list(parameters), 1 - decay)


@torch.no_grad()
def _evaluate(
    stage: Stage, step: int, parameters: list[nn.Parameter], average: list[Tensor]
) -> None:
    """Evaluate with the averaged weights, then restore the trained ones."""
    trained = [p.detach().clone() for p in parameters]
    for parameter, mean in zip(parameters, average, strict=True):
        parameter.copy_(mean)
    stage.model.eval()
    metrics = stage.evaluate()
    stage.model.train()
    for parameter, value in zip(parameters, trained, strict=True):
        parameter.copy_(value)
    _log(stage, {"step": step, **{f"judged_{k}": v for k, v in metrics.items()}})


def _log(stage: Stage, metrics: dict[str, Any]) -> None:
    stage.folder.mkdir(parents=True, exist_ok=True)
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in metrics.items()}
    with (stage.folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(rounded) + "\n")
