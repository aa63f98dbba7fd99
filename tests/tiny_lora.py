"""Small LoRAs for tiny bases, with random weights, in the formats of public ones."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel

_RANK = 2
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


def make_tiny_lora(
    file: Path, base: Path, *, seed: int = 0, kohya: bool = False, unet: str = "unet"
) -> Path:
    """Save a LoRA that visibly changes a base's pictures; return its file.

    `kohya` writes kohya-ss names and alphas, as in the LCM-LoRA, and includes convolutions and the
    text encoder; otherwise, the names are those of diffusers and peft.
    """
    model = UNet2DConditionModel.from_pretrained(base / unet)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, layer in model.named_modules():
        if name.endswith(_ATTENTION) or (kohya and name.endswith(("conv1", "conv2"))):
            tensors |= _pair(
                f"lora_unet_{_kohya(name)}" if kohya else f"unet.{name}", layer, generator
            )
    if kohya:
        encoder = CLIPTextModel.from_pretrained(base / "text_encoder")
        for name, layer in encoder.named_modules():
            if name.endswith(("q_proj", "v_proj", "fc1")):
                prefix = "" if name.startswith("text_model") else "text_model_"
                tensors |= _pair(f"lora_te_{prefix}{_kohya(name)}", layer, generator)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


def _pair(name: str, layer: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """The two factors of a layer's LoRA, and kohya's alpha, half the rank."""
    weight = layer.get_parameter("weight")
    down, up = (_RANK, *weight.shape[1:]), (len(weight), _RANK, *[1] * (weight.ndim - 2))
    if not name.startswith("lora_"):
        names = (f"{name}.lora_A.weight", f"{name}.lora_B.weight")
    else:
        names = (f"{name}.lora_down.weight", f"{name}.lora_up.weight")
    factors = (torch.randn(shape, generator=generator) * 0.2 for shape in (down, up))
    tensors = dict(zip(names, factors, strict=True))
    if name.startswith("lora_"):
        tensors[f"{name}.alpha"] = torch.tensor(_RANK / 2)
    return tensors


def _kohya(name: str) -> str:
    return name.replace(".", "_")
