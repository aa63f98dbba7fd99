"""LoRA (Hu et al. 2021, arXiv 2106.09685) for the UNet, using peft."""

from diffusers import UNet2DConditionModel
from peft import LoraConfig
from torch import Tensor

from covergen.diffusion.quiet import quiet

_TARGET_MODULES = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out")


def attach(unet: UNet2DConditionModel, *, rank: int, alpha: float) -> None:
    """Attach a new LoRA to all attention layers; it has no effect until it is trained.

    A is drawn from torch's global generator, B is zero. Only the LoRA requires gradients.
    """
    unet.requires_grad_(False)
    with quiet():
        unet.add_adapter(lora_config(rank=rank, alpha=alpha))


def lora_config(*, rank: int, alpha: float) -> LoraConfig:
    """The peft config of covergen's LoRAs."""
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        init_lora_weights="gaussian",
        target_modules=list(_TARGET_MODULES),
    )


def lora_tensors(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The attached LoRA's tensors by name in the UNet, without copying."""
    return {name: tensor for name, tensor in unet.state_dict().items() if ".lora_" in name}


def set_lora_tensors(unet: UNet2DConditionModel, tensors: dict[str, Tensor]) -> None:
    """Set the attached LoRA's tensors, keeping their dtype."""
    device = unet.device
    placed = {name: tensor.to(device) for name, tensor in tensors.items()}
    unet.load_state_dict(placed, strict=False, assign=True)


def merge(unet: UNet2DConditionModel) -> None:
    """Merge the LoRA into the UNet's weights, and remove peft's layers."""
    with quiet():
        unet.fuse_lora()
        unet.unload_lora()
