"""The trainable weights and their optimizer: LoRA, projection, AdamW and moving average."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from covergen.diffusion.adapter import create
from covergen.diffusion.lora import set_lora_tensors
from covergen.training.learning_rate import learning_rate
from covergen.training.lora_dropout import LoraDropout
from covergen.training.optimizer import make_optimizer
from covergen.training.recipe import Recipe

_SCALER_STATE = ("scale", "_growth_tracker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Initial:
    """Weights to start from, and the name of their `source` for the record.

    `projection`: the projection's state. `lora`: the LoRA's tensors by name in the UNet, for an
    alpha that equals the rank; empty to start with a new LoRA.
    """

    projection: Mapping[str, Tensor]
    lora: Mapping[str, Tensor] = field(default_factory=dict)
    source: str = ""


class Learner:
    """An adapter on a frozen UNet, and its optimizer.

    `step` is the number of steps done, of `steps`. `scaled` enables loss scaling, for fp16.
    `initial` replaces random initial weights.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        recipe: Recipe,
        *,
        d_audio: int,
        tokens: int,
        steps: int,
        scaled: bool,
        initial: Initial | None,
    ) -> None:
        device = unet.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.projection = create(
                unet,
                d_audio=d_audio,
                rank=recipe.rank,
                alpha=recipe.rank,
                projection=recipe.projection,
                tokens=tokens,
            )
        if initial is not None:
            self.projection.load_state_dict(initial.projection)
            set_lora_tensors(unet, dict(initial.lora))
        self.projection.to(device)
        self.dropout = LoraDropout(unet, recipe.lora_dropout)
        self.unet = unet
        self.recipe = recipe
        self.step, self.steps = 0, steps
        lora = [p for p in unet.parameters() if p.requires_grad]
        self.parameters = [*lora, *self.projection.parameters()]
        for parameter in self.parameters:
            parameter.data = parameter.data.float()  # the frozen weights may be in half precision
        self.optimizer = make_optimizer(
            recipe.optimizer,
            [
                {"params": lora, "peak": recipe.learning_rate},
                {"params": [*self.projection.parameters()], "peak": recipe.projection_lr},
            ],
            weight_decay=recipe.weight_decay,
        )
        self.scaler = GradScaler(device.type, enabled=scaled)
        self.scaler.scale(torch.zeros((), device=device))  # initializes it even without a pair
        self.average = None if recipe.ema is None else [p.detach().clone() for p in self.parameters]

    @property
    def rate(self) -> float:
        """The LoRA's learning rate in the next step."""
        return learning_rate(self.recipe, self.step, self.steps)

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of one part of the step's loss."""
        torch.autograd.backward(self.scaler.scale(loss))

    def discard(self) -> None:
        """Discard the gradients of a step that failed, so that it can be computed again."""
        self.optimizer.zero_grad(set_to_none=True)

    def update(self) -> None:
        """Sum the gradients over all processes, then update the weights."""
        for parameter in self.parameters:
            if parameter.grad is None:  # this process got no pair of the batch
                parameter.grad = torch.zeros_like(parameter)
        sum_processes([parameter.grad for parameter in self.parameters])
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step, self.steps, peak=group["peak"])
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.average is not None and self.recipe.ema is not None:
            # A lower decay at first, so that the initial weights fade quickly.
            decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.parameters, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Use the averaged weights, in evaluation mode, inside the context."""
        trained = [parameter.data for parameter in self.parameters]
        self._set_weights(self.average or trained)
        self.unet.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self._set_weights(trained)
            self.unet.train()

    def state(self) -> dict[str, Tensor]:
        """The state that `restore` needs, without copying."""
        tensors = {f"weights.{i}": p.detach() for i, p in enumerate(self.parameters)}
        for i, mean in enumerate(self.average or ()):
            tensors[f"average.{i}"] = mean
        # Not from `state_dict`, whose format in bitsandbytes depends on its version.
        for i, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{i}.{name}"] = torch.as_tensor(value)
        for name in _SCALER_STATE if self.scaler.is_enabled() else ():
            tensors[f"scaler.{name}"] = torch.tensor(self.scaler.state_dict()[name])
        return tensors

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Load the `state` that was saved after `step`."""
        self.step = step
        moments: dict[int, dict[str, Tensor | int]] = {}
        for key, tensor in tensors.items():
            kind, _, name = key.partition(".")
            if kind == "weights":
                self.parameters[int(name)].copy_(tensor)
            elif kind == "average" and self.average is not None:
                self.average[int(name)].copy_(tensor)
            elif kind == "optimizer":
                number, _, name = name.partition(".")
                counts = name == "step" and self.recipe.optimizer == "adamw8bit"
                value = int(tensor) if counts else tensor
                moments.setdefault(int(number), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if self.scaler.is_enabled():
            scaler = {name: tensors[f"scaler.{name}"].item() for name in _SCALER_STATE}
            self.scaler.load_state_dict(self.scaler.state_dict() | scaler)

    def _set_weights(self, weights: list[Tensor]) -> None:
        for parameter, weight in zip(self.parameters, weights, strict=True):
            parameter.data = weight


def sum_processes(tensors: list[Tensor]) -> None:
    """Replace each tensor with its sum over all processes."""
    if PartialState().num_processes == 1:
        return
    total = reduce(torch.cat([tensor.flatten() for tensor in tensors]), "sum")
    sizes = [tensor.numel() for tensor in tensors]
    for tensor, part in zip(tensors, torch.split(total, sizes), strict=True):
        tensor.copy_(part.view_as(tensor))
