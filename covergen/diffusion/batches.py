"""How many pictures are painted at once, and how to tell that they were too many."""

import torch

from covergen.diffusion.painter import Painter

__all__ = ["automatic_batch_size", "is_out_of_memory"]

# A UNet's activations under guidance, in feature maps of its widest resolution and first width.
_MAPS_PER_PICTURE = 64
_USED_SHARE = 0.7  # of the free memory: the rest is the VAE's and the allocator's
_MOST = 64  # speed gains nothing more, while the first cover comes later
_CPU_BYTES = 1 << 30  # larger batches are no faster there, and free memory is hard to tell


def automatic_batch_size(painter: Painter) -> int:
    """An estimate from the sizes of the model and the free memory of its device."""
    if painter.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(painter.device)
        usable = free * _USED_SHARE
    else:
        usable = _CPU_BYTES
    _, height, width = painter.config.latent_shape
    channels = painter.config.unet["block_out_channels"][0]
    map_bytes = height * width * channels * painter.dtype.itemsize
    return max(1, min(_MOST, int(usable / (map_bytes * _MAPS_PER_PICTURE))))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an allocator gave up; only CUDA's has an exception of its own."""
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "DefaultCPUAllocator" in text
        or "out of memory" in text
    )
