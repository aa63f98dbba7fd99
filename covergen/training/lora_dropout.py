"""Dropout on the inputs of the LoRA, reproducible for each pair."""

from collections.abc import Sequence

import torch
from diffusers import UNet2DConditionModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn


class LoraDropout:
    """Adds dropout to all LoRA layers of a UNet, in training mode.

    torch's own dropout draws one mask for a batch, which would make the loss of a pair depend on
    how the step is split into parts and processes.
    """

    def __init__(self, unet: UNet2DConditionModel, share: float) -> None:
        self._layers: list[_PairDropout] = []
        for module in unet.modules() if share else ():
            if isinstance(module, LoraLayer):
                layer = _PairDropout(share, len(self._layers))
                module.lora_dropout["default"] = layer
                self._layers.append(layer)

    def seed(self, seeds: Sequence[int]) -> None:
        """Set the seeds of the next batch's pairs: (B,)."""
        for layer in self._layers:
            layer.seeds = seeds


class _PairDropout(nn.Module):
    """Drops values of (B, ...); the mask of each pair is drawn from its own seed."""

    def __init__(self, share: float, number: int) -> None:
        super().__init__()
        self.share, self.number = share, number
        self.seeds: Sequence[int] = ()

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        generator = torch.Generator(inputs.device)
        mask = torch.empty_like(inputs)
        for row, seed in zip(mask, self.seeds, strict=True):
            row.bernoulli_(1 - self.share, generator=generator.manual_seed(seed + self.number))
        return inputs * mask / (1 - self.share)
