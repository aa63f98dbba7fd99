"""Loading bases and encoding prompts."""

import json
from pathlib import Path
from shutil import copytree
from unittest.mock import Mock

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from covergen.core.errors import ModelError
from covergen.diffusion.base_config import read_config
from covergen.diffusion.load_base import encode_prompts, fastest_layout, load_base
from tests.plain_diffusion import empty_prompt
from tests.tiny_base import make_tiny_base

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "length"), [("sd1", 77), ("sd2", 16)])
@pytest.mark.parametrize("masked", [False, True])
def test_empty_prompt_matches_the_text_encoder(
    name: str, length: int, masked: bool, request: pytest.FixtureRequest
) -> None:
    base: Path = request.getfixturevalue(name)
    (found,) = encode_prompts(read_config(base), [""], masked=masked)
    assert found.shape == (1, length, 32)
    assert torch.equal(found, empty_prompt(base, masked=masked))
    other = empty_prompt(base, masked=not masked)
    # In causal attention, the first two positions see no masked ones.
    assert (found - other)[:, :2].abs().max() < 1e-5
    assert ((found - other)[:, 2:].abs().amax(-1) > 1e-3).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_fp16_files_load_in_any_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    config = read_config(make_tiny_base(tmp_path, variant="fp16"))
    parts = load_base(config, device=CPU, dtype=dtype)
    assert parts.unet.dtype == dtype
    assert not parts.unet.training
    assert not any(p.requires_grad for m in (parts.unet, parts.vae) for p in m.parameters())
    whole = load_file(tmp_path / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    assert torch.equal(parts.unet.conv_in.weight, whole["conv_in.weight"].to(dtype))


def test_sharded_weights_are_loaded(sd1: Path, tmp_path: Path) -> None:
    base = copytree(sd1, tmp_path / "base")
    whole = UNet2DConditionModel.from_pretrained(sd1 / "unet")
    (base / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    whole.save_pretrained(base / "unet", max_shard_size="100KB")
    assert len(list((base / "unet").glob("*.safetensors"))) > 1
    unet = load_base(read_config(base), device=CPU, dtype=torch.float32).unet
    assert all(torch.equal(unet.state_dict()[k], v) for k, v in whole.state_dict().items())


def test_base_larger_than_the_devices_memory_is_an_error(
    sd1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory."))
    monkeypatch.setattr(AutoencoderKL, "to", full)
    with pytest.raises(ModelError, match="does not fit in the memory of cpu"):
        load_base(read_config(sd1), device=CPU, dtype=torch.float32)


def test_weights_that_do_not_match_the_config_are_an_error(
    sd1: Path, sd2: Path, tmp_path: Path
) -> None:
    base = copytree(sd1, tmp_path / "base")
    weights = "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(base / weights)
    del tensors["conv_out.bias"]
    save_file(tensors, base / weights)
    with pytest.raises(ModelError, match=r"unet: .*conv_out\.bias"):
        load_base(read_config(base), device=CPU, dtype=torch.float32)
    (base / weights).write_bytes((sd2 / weights).read_bytes())
    with pytest.raises(ModelError, match="unet: its weights cannot be loaded"):
        load_base(read_config(base), device=CPU, dtype=torch.float32)
    other = make_tiny_base(tmp_path / "other", cross_attention_dim=24)
    weights = "text_encoder/model.safetensors"
    (base / weights).write_bytes((other / weights).read_bytes())
    with pytest.raises(ModelError, match="text_encoder: its weights cannot be loaded"):
        encode_prompts(read_config(base), [""], masked=False)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0"])
def test_invalid_tokenizer_is_an_error(content: bytes, sd1: Path, tmp_path: Path) -> None:
    base = copytree(sd1, tmp_path / "base")
    for path in (base / "tokenizer").iterdir():
        path.write_bytes(content)
    with pytest.raises(ModelError, match="tokenizer: expected a CLIP tokenizer"):
        encode_prompts(read_config(base), [""], masked=False)


def test_tokenizer_files_in_the_old_layout_are_supported(sd1: Path, tmp_path: Path) -> None:
    """Stable Diffusion 1.5 has vocab.json and merges.txt."""
    base = copytree(sd1, tmp_path / "base")
    path = base / "tokenizer" / "tokenizer.json"
    vocabulary = json.loads(path.read_text())["model"]["vocab"]
    (base / "tokenizer" / "vocab.json").write_text(json.dumps(vocabulary))
    (base / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    path.unlink()
    (found,) = encode_prompts(read_config(base), [""], masked=False)
    assert torch.equal(found, empty_prompt(sd1, masked=False))


def test_tokenizer_with_a_larger_vocabulary_is_an_error(sd1: Path, tmp_path: Path) -> None:
    base = copytree(sd1, tmp_path / "base")
    path = base / "tokenizer" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    for word in ("<|startoftext|>", "<|endoftext|>"):
        tokenizer["model"]["vocab"][word] += 1000
    for token in tokenizer["added_tokens"]:
        token["id"] += 1000
    for special in ("sep", "cls"):
        tokenizer["post_processor"][special][1] += 1000
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="tokenizer: expected token IDs below 190"):
        encode_prompts(read_config(base), [""], masked=False)


def test_channels_come_last_except_on_apple_gpus() -> None:
    layouts = [fastest_layout(torch.device(kind)) for kind in ("cpu", "cuda", "mps")]
    assert layouts == [torch.channels_last, torch.channels_last, torch.contiguous_format]
