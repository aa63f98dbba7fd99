"""How many pictures fit into a device's memory at once."""

import torch

from covergen.core.errors import ModelError
from covergen.diffusion.base_config import BaseConfig

__all__ = ["automatic_batch_size", "memory_error"]

# A UNet's activations for one picture under guidance, counted in feature maps of its first stage:
# measured on Stable Diffusion 1.5, where one such map is 5 MiB in fp32.
_MAPS_PER_PICTURE = 100
_USED_SHARE = 0.7  # of the free memory: the rest is the VAE's and the allocator's
_MOST = 64  # speed gains nothing more, while the first cover comes later
_CPU_BYTES = 1 << 28  # larger batches fall out of its cache: they are slower there


def automatic_batch_size(config: BaseConfig, *, device: torch.device, dtype: torch.dtype) -> int:
    """An estimate from the sizes of the base and the free memory of the device."""
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
    return max(1, min(_MOST, int(usable / (map_bytes * _MAPS_PER_PICTURE))))


def memory_error(problem: str) -> ModelError:
    """The error for what cannot be made smaller any more."""
    return ModelError(
        problem, hint="Choose --dtype bf16 or fp16, another --device, or a smaller base."
    )
