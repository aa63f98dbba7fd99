"""Choose a batch size that fits in a device's memory."""

from collections.abc import Sequence

import torch

from covergen.compute.memory import free_bytes
from covergen.core.errors import ModelError
from covergen.diffusion.base_config import BaseConfig

# The UNet's activations for one guided picture, in units of its first stage's feature maps.
# Measured on Stable Diffusion 1.5, where such a map takes 5 MiB in fp32.
_MAPS_PER_PICTURE = 100
# The activations of a transformer or UNet for one guided picture, in bytes per pixel and byte of
# precision, and what all models need besides their weights. Estimates for 1024 pixels and SDXL.
_BYTES_PER_PIXEL = 750
_WORKING_BYTES = 2_000_000_000
_USED_SHARE = 0.7  # of the free memory; the rest is for the VAE and the allocator
_MAX_BATCH_SIZE = 64  # larger batches are no faster, and delay the first cover
_MAX_PIPELINE_BATCH_SIZE = 16
_CPU_BYTES = 1 << 28  # larger batches exceed the CPU's cache and are slower


def automatic_batch_size(config: BaseConfig, *, device: torch.device, dtype: torch.dtype) -> int:
    """Estimate the batch size from the base's sizes and the device's free memory."""
    free = free_bytes(device)
    usable = _CPU_BYTES if free is None else free * _USED_SHARE
    _, height, width = config.latent_shape
    map_bytes = height * width * config.unet["block_out_channels"][0] * dtype.itemsize
    return max(1, min(_MAX_BATCH_SIZE, int(usable / (map_bytes * _MAPS_PER_PICTURE))))


def pipeline_batch_size(pixels: int, *, device: torch.device, dtype: torch.dtype) -> int:
    """Estimate the batch size of a pipeline that is loaded, for pictures of so many pixels."""
    free = free_bytes(device)
    if free is None:
        return 1  # large models gain nothing from batches on a CPU
    per_picture = pixels * dtype.itemsize * _BYTES_PER_PIXEL
    return max(1, min(_MAX_PIPELINE_BATCH_SIZE, int(free * _USED_SHARE / per_picture)))


def choose_offload(sizes: Sequence[int], free: int) -> str:
    """Choose one of OFFLOADS other than "auto"; `sizes` of models and `free` are in bytes."""
    if sum(sizes) + _WORKING_BYTES <= free:
        return "none"
    return "model" if max(sizes) + _WORKING_BYTES <= free else "sequential"


def memory_error(problem: str) -> ModelError:
    """The error for running out of memory when nothing smaller can be tried."""
    return ModelError(
        problem, hint="Use --dtype bf16 or fp16, another --device, or a smaller base."
    )
