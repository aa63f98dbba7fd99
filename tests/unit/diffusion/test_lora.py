"""LoRA on the UNet, compared with manual calculations."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from covergen.diffusion.lora import attach, lora_tensors, merge, set_lora_tensors
from tests.plain_diffusion import lora_deltas, predict
from tests.tiny_base import make_tiny_adapter


def load_unet(base: Path, dtype: torch.dtype = torch.float32) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(base / "unet", dtype=dtype).eval()


@pytest.fixture(params=["sd1", "sd2"])
def unet(request: pytest.FixtureRequest) -> UNet2DConditionModel:
    return load_unet(request.getfixturevalue(request.param))


def test_new_lora_covers_all_attention_layers_without_changing_the_output(
    unet: UNet2DConditionModel,
) -> None:
    before = predict(unet)
    targets = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out")
    modules = {name for name, _ in unet.named_modules() if name.endswith(targets)}
    attach(unet, rank=4, alpha=4)
    assert torch.equal(predict(unet), before)
    tensors = lora_tensors(unet)
    assert {name.partition(".lora_")[0] for name in tensors} == modules
    assert {name for name, p in unet.named_parameters() if p.requires_grad} == tensors.keys()
    down = torch.cat([tensor.flatten() for name, tensor in tensors.items() if "lora_A" in name])
    assert abs(float(down.std()) - 1 / 4) < 0.02  # peft's "gaussian": 1 / rank


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_merged_weights_are_rounded_once(dtype: torch.dtype, sd1: Path, tmp_path: Path) -> None:
    """Neither the LoRA nor its product is rounded to half precision before the sum."""
    adapter = load_file(make_tiny_adapter(tmp_path / "adapter.safetensors", sd1))
    prefix = "unet_lora."
    unet, exact = load_unet(sd1, dtype), load_unet(sd1, dtype).float().state_dict()
    attach(unet, rank=4, alpha=4)
    set_lora_tensors(unet, {k.removeprefix(prefix): v for k, v in adapter.items() if prefix in k})
    merge(unet)
    for name, delta in lora_deltas(adapter).items():
        expected, found = exact[name] + delta.view_as(exact[name]), unet.state_dict()[name]
        assert found.dtype == dtype
        # Half a unit in the last place, plus float32's own rounding.
        ulp = torch.finfo(dtype).eps * expected.abs().clamp(min=1e-4)
        tolerance = 0.51 * ulp if dtype != torch.float32 else 1e-6
        assert ((found.float() - expected).abs() <= tolerance).all()
