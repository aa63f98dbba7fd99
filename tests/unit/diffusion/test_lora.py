"""LoRA: attached without a trace, merged into the weights, held to arithmetic by hand."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft.tuners.tuners_utils import BaseTunerLayer

from covergen.diffusion.lora import attach, lora_tensors, merge, set_lora_tensors
from tests.plain_diffusion import merged_unet
from tests.tiny_base import make_tiny_adapter


def load_unet(base: Path, dtype: torch.dtype = torch.float32) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(base / "unet", dtype=dtype).eval()


@torch.no_grad()
def predict(unet: UNet2DConditionModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    _, channels, *size = (1, unet.config.in_channels, 8, 8)
    latents = torch.randn(2, channels, *size, generator=generator)
    tokens = torch.randn(2, 3, unet.config.cross_attention_dim, generator=generator)
    return unet(latents.to(unet.dtype), 500, tokens.to(unet.dtype)).sample.float()


def randomise(unet: UNet2DConditionModel) -> None:
    generator = torch.Generator().manual_seed(1)
    values = {
        name: torch.randn(tensor.shape, generator=generator) * 0.1
        for name, tensor in lora_tensors(unet).items()
    }
    set_lora_tensors(unet, values)


def test_a_new_lora_changes_nothing_and_alone_is_trained(sd1: Path) -> None:
    unet = load_unet(sd1)
    before = predict(unet)
    attach(unet, rank=4, alpha=4)
    assert torch.equal(predict(unet), before)
    trained = {name for name, p in unet.named_parameters() if p.requires_grad}
    assert trained == lora_tensors(unet).keys()
    down = lora_tensors(unet)["down_blocks.0.attentions.0.proj_in.lora_A.default.weight"]
    assert abs(float(down.std()) - 1 / 4) < 0.05  # peft's "gaussian": 1 / rank


@pytest.mark.parametrize("base", ["sd1", "sd2"])
def test_every_attention_has_one(base: str, request: pytest.FixtureRequest) -> None:
    unet = load_unet(request.getfixturevalue(base))
    targets = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out")
    modules = {name for name, _ in unet.named_modules() if name.endswith(targets)}
    attach(unet, rank=2, alpha=2)
    found = {name.partition(".lora_")[0] for name in lora_tensors(unet)}
    assert found == modules


@pytest.mark.parametrize("base", ["sd1", "sd2"])
@pytest.mark.parametrize("alpha", [4, 10.0])
def test_merged_equals_unmerged(base: str, alpha: float, request: pytest.FixtureRequest) -> None:
    unet = load_unet(request.getfixturevalue(base))
    names, plain = set(unet.state_dict()), predict(unet)
    attach(unet, rank=4, alpha=alpha)
    randomise(unet)
    unmerged = predict(unet)
    merge(unet)
    assert set(unet.state_dict()) == names
    assert not any(isinstance(module, BaseTunerLayer) for module in unet.modules())
    scale = plain.abs().max()
    assert (predict(unet) - unmerged).abs().max() <= 1e-5 * scale
    assert (unmerged - plain).abs().max() > 0.1 * scale


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_take_an_exact_sum(
    dtype: torch.dtype, sd1: Path, tmp_path: Path
) -> None:
    """The sum is rounded once: neither the LoRA nor the product is, before it."""
    adapter = make_tiny_adapter(tmp_path / "adapter.safetensors", sd1)
    unet = load_unet(sd1, dtype)
    exact = load_unet(sd1, dtype).float().state_dict()
    attach(unet, rank=4, alpha=4)
    set_lora_tensors(unet, file_tensors(adapter))
    merge(unet)
    for name, delta in deltas(adapter).items():
        expected = exact[name] + delta
        found = unet.state_dict()[name]
        assert found.dtype == dtype
        # Half a unit in the last place, and what float32 itself rounds.
        ulp = torch.finfo(dtype).eps * expected.abs().clamp(min=1e-4)
        assert ((found.float() - expected).abs() <= 0.51 * ulp).all()


def file_tensors(adapter: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    prefix = "unet_lora."
    return {k.removeprefix(prefix): v for k, v in load_file(adapter).items() if prefix in k}


def deltas(adapter: Path) -> dict[str, torch.Tensor]:
    """B A of every module, by the name of the weight that it is added to."""
    file = file_tensors(adapter)
    found = {}
    for name in [n for n in file if ".lora_A." in n]:
        up = file[name.replace("lora_A", "lora_B")]
        product = up.flatten(1) @ file[name].flatten(1)
        shape = (*product.shape, *up.shape[2:])
        found[name.replace(".lora_A.default", "")] = product.reshape(shape)
    return found


def test_the_plain_oracle_agrees(sd1: Path, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "adapter.safetensors", sd1)
    unet = load_unet(sd1)
    attach(unet, rank=4, alpha=4)
    set_lora_tensors(unet, file_tensors(adapter))
    expected = predict(merged_unet(sd1, adapter))
    assert (predict(unet) - expected).abs().max() <= 1e-5 * expected.abs().max()
