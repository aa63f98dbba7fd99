"""What an adapter file says of itself, and how one that is none is told."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from covergen.core.errors import AdapterError, ModelMissingError
from covergen.diffusion.adapter_file import inspect, read_tensors
from tests.tiny_base import make_tiny_adapter

LORA = {
    "unet_lora.x.to_q.lora_A.default.weight": torch.ones(4, 8),
    "unet_lora.x.to_q.lora_B.default.weight": torch.ones(8, 4),
}
MANY = {
    "audio_projection.weight": torch.ones(6, 10),
    "audio_projection.bias": torch.ones(6),
    "audio_projection.norm.weight": torch.ones(3),
    "audio_projection.norm.bias": torch.ones(3),
}


def without(*names: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in (LORA | MANY).items() if not key.endswith(names)}


def test_a_reference_file_is_read_by_its_shapes(sd1: Path, tmp_path: Path) -> None:
    path = make_tiny_adapter(
        tmp_path / "final.safetensors", sd1, projection="linear", rank=6, reference=True
    )
    info = inspect(path)
    assert (info.rank, info.alpha, info.projection, info.tokens) == (6, 6.0, "linear", 1)
    assert (info.d_audio, info.empty_prompt, info.base, info.training) == (512, "masked", "", {})
    assert info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = {key: tuple(tensor.shape) for key, tensor in load_file(path).items()}
    assert info.shapes == found


def test_tokens_are_counted(tmp_path: Path) -> None:
    save_file(LORA | MANY, tmp_path / "a.safetensors", {"format": "pt"})
    info = inspect(tmp_path / "a.safetensors")
    assert (info.projection, info.tokens, info.d_audio) == ("tokens", 2, 10)


def test_tensors_come_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({key: tensor.bfloat16() for key, tensor in LORA.items()}, path)
    tensors = read_tensors(inspect(path))
    assert tensors.keys() == LORA.keys()
    assert all(torch.equal(tensors[key], LORA[key]) for key in LORA)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (MANY, "expected one LoRA rank, found no LoRA"),
        ({}, "found no LoRA"),
        (LORA | {"unet_lora.y.lora_A.default.weight": torch.ones(5, 8)}, r"rank, found \[4, 5\]"),
        (LORA | {"lora_unet_y.lora_down.weight": torch.ones(4, 8)}, "1 others.* lora_unet_y"),
        ({"lora_unet_y.lora_down.weight": torch.ones(4, 8)}, "1 others.* lora_unet_y"),
        ({k: v.to(torch.int32) for k, v in LORA.items()}, r"floating point .* \['I32'\]"),
        (without("projection.bias"), "expected an audio projection"),
        (without("projection.weight"), "expected an audio projection"),
        (without("norm.bias"), "expected an audio projection"),
        (LORA | MANY | {"audio_projection.scale": torch.ones(1)}, "expected an audio projection"),
        (LORA | MANY | {"audio_projection.bias": torch.ones(5)}, "expected an audio projection"),
        (
            without("norm.weight", "norm.bias")
            | {f"audio_projection.norm.{name}": torch.ones(4) for name in ("weight", "bias")},
            r"expected an audio projection.*\(6, 10\)",
        ),
        (
            without("norm.weight", "norm.bias")
            | {f"audio_projection.norm.{name}": torch.ones(0) for name in ("weight", "bias")},
            "expected an audio projection",
        ),
    ],
)
def test_tensors_that_are_no_adapters(
    tensors: dict[str, torch.Tensor], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_file(tensors, path)
    with pytest.raises(AdapterError, match=says) as caught:
        inspect(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("rank", "8", "its metadata says rank 8, its tensors 4"),
        ("projection", "linear", "says projection linear, its tensors tokens"),
        ("tokens", "3", "says tokens 3, its tensors 2"),
        ("alpha", "much", "expected a positive alpha in its metadata, found 'much'"),
        ("alpha", "nan", "expected a positive alpha"),
        ("alpha", "0", "expected a positive alpha"),
        ("empty_prompt", "short", "empty_prompt 'short', not plain or masked"),
        ("training", "{", "training settings are no JSON object"),
        ("training", "[]", "training settings are no JSON object"),
    ],
)
def test_metadata_that_contradicts_the_tensors(
    name: str, value: str, says: str, tmp_path: Path
) -> None:
    save_file(LORA | MANY, tmp_path / "a.safetensors", {f"covergen.{name}": value})
    with pytest.raises(AdapterError, match=says):
        inspect(tmp_path / "a.safetensors")


@pytest.mark.parametrize("cut", [0, 4, 8, 60, -1])
def test_a_truncated_file(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(LORA, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(AdapterError, match="expected a whole safetensors file"):
        inspect(path)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    torch.save(LORA, path)
    with pytest.raises(AdapterError, match="expected a whole safetensors file"):
        inspect(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="no such file"):
        inspect(tmp_path / "a.safetensors")
    with pytest.raises(ModelMissingError, match="no such file"):
        inspect(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    name = "unet_lora.x.to_q.lora_B.default.weight"
    save_file(LORA | {name: torch.full((8, 4), value)}, path)
    info = inspect(path)  # the header alone cannot know
    with pytest.raises(AdapterError, match=f"{name} holds values that are no finite numbers"):
        read_tensors(info)
