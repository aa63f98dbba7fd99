"""Choose a batch size that fits in a device's memory."""

import torch

from covergen.core.errors import ModelError
from covergen.diffusion.base_config import BaseConfig

__all__ = ["automatic_batch_size", "memory_error"]

# The UNet's activations for one guided picture, in units of its first stage's feature maps.
# Measured on Stable Diffusion 1.5, where such a map takes 5 MiB in fp32.
_MAPS_PER_PICTURE = 100
_USED_SHARE = 0.7  # of the free memory; the rest is for the VAE and the allocator
_MAX_BATCH_SIZE = 64  # larger batches are no faster, and delay the first cover
_CPU_BYTES = 1 << 28  # larger batches exceed the CPU's cache and are slower


def automatic_batch_size(config: BaseConfig, *, device: torch.device, dtype: torch.dtype) -> int:
    """Estimate the batch size from the base's sizes and the device's free memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        usable = free * _USED_SHARE
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        usable = free * _USED_SHARE
    else:
        usable = _CPU_BYTES
    _, height, width = config.latent_shape
    map_bytes = height * width * config.unet["block_out_channels"][0] * dtype.itemsize
    return max(1, min(_MAX_BATCH_SIZE, int(usable / (map_bytes * _MAPS_PER_PICTURE))))


def memory_error(problem: str) -> ModelError:
    """The error for running out of memory when nothing smaller can be tried."""
    return ModelError(
        problem, hint="Use --dtype bf16 or fp16, another --device, or a smaller base."
    )
