"""Export adapters for other programs: the LoRA in their layout, the projection in its own file.

Other programs do not support audio projections, and diffusers rejects files that contain one. The
projection's tensors are weight, bias and, for several tokens, norm.weight and norm.bias:
`LayerNorm((x @ weight.T + bias).view(-1, tokens, d_cross))`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from covergen.core.atomic_write import write_whole
from covergen.core.errors import ModelError
from covergen.diffusion.adapter_file import (
    LORA_PREFIX,
    METADATA_PREFIX,
    PROJECTION_PREFIX,
    AdapterInfo,
    read_tensors,
    write_tensors,
)
from covergen.diffusion.lora import lora_config

Layout = Literal["diffusers", "peft"]

_LORA_FILE: dict[Layout, str] = {
    "diffusers": "pytorch_lora_weights.safetensors",  # the default of load_lora_weights(folder)
    "peft": "adapter_model.safetensors",
}
_PEFT_CONFIG = "adapter_config.json"
_PROJECTION_FILE = "audio_projection.safetensors"


def files_of(info: AdapterInfo, layout: Layout) -> tuple[str, ...]:
    """The names of the files that `export` writes, the LoRA first."""
    config = (_PEFT_CONFIG,) if layout == "peft" else ()
    projection = () if info.projection == "none" else (_PROJECTION_FILE,)
    return (_LORA_FILE[layout], *config, *projection)


def export(info: AdapterInfo, folder: Path, layout: Layout) -> None:
    """Write the `files_of` an adapter to `folder`, replacing existing ones.

    "diffusers" uses the tensor names of kohya's sd-scripts with an alpha per module, which
    diffusers' `load_lora_weights`, ComfyUI, A1111 and InvokeAI all read. "peft" is for
    `PeftModel.from_pretrained`. Raises AdapterError, and ModelError if a file cannot be written.
    """
    tensors = read_tensors(info)
    lora = {k.removeprefix(LORA_PREFIX): v for k, v in tensors.items() if k.startswith(LORA_PREFIX)}
    projection = {
        k.removeprefix(PROJECTION_PREFIX): v
        for k, v in tensors.items()
        if k.startswith(PROJECTION_PREFIX)
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if layout == "peft":
            write_whole(folder / _PEFT_CONFIG, _peft_config(info))
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be written: {error.strerror}.") from error
    if layout == "peft":
        write_tensors(folder / _LORA_FILE[layout], _peft_tensors(lora), {"format": "pt"})
    else:
        write_tensors(
            folder / _LORA_FILE[layout], _kohya_tensors(lora, info.alpha), _kohya_metadata(info)
        )
    if projection:
        write_tensors(folder / _PROJECTION_FILE, projection, _projection_metadata(info))


def _kohya_tensors(lora: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Rename tensors as in github.com/kohya-ss/sd-scripts, networks/lora.py."""
    tensors = {}
    for key, tensor in lora.items():
        module, _, part = key.partition(".lora_")
        name = f"lora_unet_{module.replace('.', '_')}"
        direction = "down" if part.startswith("A") else "up"
        tensors[f"{name}.lora_{direction}.weight"] = tensor
        tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return tensors


def _kohya_metadata(info: AdapterInfo) -> dict[str, str]:
    is_v2 = _is_v2(info)
    architecture = "stable-diffusion-v2-512" if is_v2 else "stable-diffusion-v1"
    title = info.title or info.path.stem
    return {
        "ss_base_model_version": "sd_v2" if is_v2 else "sd_v1",
        "ss_v2": str(is_v2),
        "ss_sd_model_name": info.base,
        "ss_output_name": title,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(info.rank),
        "ss_network_alpha": str(info.alpha),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": title,
    }


def _is_v2(info: AdapterInfo) -> bool:
    """Whether the base is Stable Diffusion 2.x: linear projections, not 1x1 convolutions."""
    return any(len(shape) == 2 for key, shape in info.shapes.items() if ".proj_in.lora_A." in key)


def _peft_tensors(lora: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors as PeftModel saves them: without the adapter's name."""
    return {f"base_model.model.{k.replace('.default.', '.')}": v for k, v in lora.items()}


def _peft_config(info: AdapterInfo) -> bytes:
    config = lora_config(rank=info.rank, alpha=info.alpha).to_dict()
    config |= {"base_model_name_or_path": info.base or None, "inference_mode": True}
    return json.dumps(
        config, indent=2, sort_keys=True, default=sorted
    ).encode()  # sets become lists


def _projection_metadata(info: AdapterInfo) -> dict[str, str]:
    fields = {
        "projection": info.projection,
        "tokens": str(info.tokens),
        "base": info.base,
        "clap": info.clap,
        "adapter": info.sha256,
    }
    return {f"{METADATA_PREFIX}{name}": text for name, text in fields.items()}
