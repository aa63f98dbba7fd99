"""How many pairs are computed at once, so that a step fits in the device's memory.

A step sums the gradients of its pairs, so the size of these parts changes only rounding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from diffusers import UNet2DConditionModel

from covergen.compute.memory import free_bytes
from covergen.training.recipe import Recipe

# What a pair keeps for the backward pass, in units of the UNet's first feature map, which takes
# 2.5 MiB at Stable Diffusion 1.5's size in bf16. Measured there: 361 maps, and with gradient
# checkpointing 75 and the largest recomputed block.
_MAPS_PER_PAIR = 400
_MAPS_PER_CHECKPOINTED_PAIR = 125
_USED_SHARE = 0.85  # of the free memory; the rest is for gradients and fragmentation


@dataclass(slots=True, kw_only=True)
class MicroBatch:
    """`size`: the pairs of one forward and backward pass, at least 1.

    `checkpointing`: activations are recomputed in the backward pass. `fixed`: the user chose
    whether to do so.
    """

    unet: UNet2DConditionModel
    size: int
    checkpointing: bool = False
    fixed: bool = False

    def __post_init__(self) -> None:
        if self.checkpointing:
            self.unet.enable_gradient_checkpointing()

    def reduce(self) -> bool:
        """Use less memory from now on; return False if nothing is left to reduce."""
        if self.size > 1:
            self.size //= 2
        elif self.checkpointing or self.fixed:
            return False
        else:
            self.checkpointing = True
            self.unet.enable_gradient_checkpointing()
        return True


def choose_micro_batch(
    recipe: Recipe, unet: UNet2DConditionModel, latent_shape: Sequence[int], *, processes: int
) -> MicroBatch:
    """Choose from the free memory of the UNet's device; on the CPU, batches are not split.

    `latent_shape` is (C, h, w).
    """
    largest = math.ceil(recipe.batch_size / processes)
    fixed = recipe.gradient_checkpointing is not None
    checkpointing = bool(recipe.gradient_checkpointing)
    free = free_bytes(unet.device)
    if free is None:
        return MicroBatch(unet=unet, size=largest, checkpointing=checkpointing, fixed=fixed)
    _, height, width = latent_shape
    weights = unet.conv_in.weight
    maps = free * _USED_SHARE / (height * width * weights.shape[0] * weights.itemsize)
    plain = int(maps / _MAPS_PER_PAIR)
    checkpointing = checkpointing or (plain < 1 and not fixed)
    fitting = int(maps / _MAPS_PER_CHECKPOINTED_PAIR) if checkpointing else plain
    parts = math.ceil(largest / max(1, fitting))
    return MicroBatch(
        unet=unet,
        size=math.ceil(largest / parts),  # parts of about the same size
        checkpointing=checkpointing,
        fixed=fixed,
    )
