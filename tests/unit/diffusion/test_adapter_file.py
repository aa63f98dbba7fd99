"""Reading adapter files, and errors for files that are not adapters."""

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
PROJECTION = {
    "audio_projection.weight": torch.ones(6, 10),
    "audio_projection.bias": torch.ones(6),
    "audio_projection.norm.weight": torch.ones(3),
    "audio_projection.norm.bias": torch.ones(3),
}


def without(*names: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in (LORA | PROJECTION).items() if not key.endswith(names)}


def test_reference_files_are_read_by_their_shapes(sd1: Path, tmp_path: Path) -> None:
    path = make_tiny_adapter(
        tmp_path / "final.safetensors", sd1, projection="linear", rank=6, reference=True
    )
    info = inspect(path)
    assert (info.rank, info.alpha, info.projection, info.tokens) == (6, 6.0, "linear", 1)
    assert (info.d_audio, info.empty_prompt, info.base, info.training) == (512, "masked", "", {})
    assert info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert info.shapes == {key: tuple(tensor.shape) for key, tensor in load_file(path).items()}


def test_number_of_tokens_is_inferred(tmp_path: Path) -> None:
    save_file(LORA | PROJECTION, tmp_path / "a.safetensors", {"format": "pt"})
    info = inspect(tmp_path / "a.safetensors")
    assert (info.projection, info.tokens, info.d_audio) == ("tokens", 2, 10)


def test_tensors_are_read_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({key: tensor.bfloat16() for key, tensor in LORA.items()}, path)
    tensors = read_tensors(inspect(path))
    assert tensors.keys() == LORA.keys()
    assert all(torch.equal(tensors[key], LORA[key]) for key in LORA)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        (PROJECTION, "expected one LoRA rank, found no LoRA"),
        ({}, "found no LoRA"),
        (LORA | {"unet_lora.y.lora_A.default.weight": torch.ones(5, 8)}, r"rank, found \[4, 5\]"),
        (
            LORA | {"lora_unet_y.lora_down.weight": torch.ones(4, 8)},
            "1 with other names.* lora_unet_y",
        ),
        ({k: v.to(torch.int32) for k, v in LORA.items()}, r"floating-point .* \['I32'\]"),
        (without("projection.bias"), "expected an audio projection"),
        (without("projection.weight"), "expected an audio projection"),
        (without("norm.bias"), "expected an audio projection"),
        (
            LORA | PROJECTION | {"audio_projection.scale": torch.ones(1)},
            "expected an audio projection",
        ),
        (
            LORA | PROJECTION | {"audio_projection.bias": torch.ones(5)},
            "expected an audio projection",
        ),
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
def test_tensors_of_other_files_are_refused(
    tensors: dict[str, torch.Tensor], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_file(tensors, path)
    with pytest.raises(AdapterError, match=problem) as caught:
        inspect(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("rank", "8", "rank is 8 in the metadata, but 4 by the tensors"),
        ("projection", "linear", "projection is linear in the metadata, but tokens"),
        ("tokens", "3", "tokens is 3 in the metadata, but 2"),
        ("alpha", "much", "expected a positive alpha in its metadata, found 'much'"),
        ("alpha", "nan", "expected a positive alpha"),
        ("alpha", "0", "expected a positive alpha"),
        ("empty_prompt", "short", "expected empty_prompt plain or masked .* 'short'"),
        ("training", "{", "training settings are not a JSON object"),
        ("training", "[]", "training settings are not a JSON object"),
    ],
)
def test_invalid_metadata_is_refused(name: str, value: str, problem: str, tmp_path: Path) -> None:
    save_file(LORA | PROJECTION, tmp_path / "a.safetensors", {f"covergen.{name}": value})
    with pytest.raises(AdapterError, match=problem):
        inspect(tmp_path / "a.safetensors")


def test_missing_truncated_and_pickled_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for missing in (path, tmp_path):
        with pytest.raises(ModelMissingError, match="no such file"):
            inspect(missing)
    save_file(LORA, path)
    data = path.read_bytes()
    for length in (0, 4, 8, 60, -1):
        path.write_bytes(data[:length])
        with pytest.raises(AdapterError, match="not a valid safetensors file"):
            inspect(path)
    torch.save(LORA, path)
    with pytest.raises(AdapterError, match="not a valid safetensors file"):
        inspect(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    name = "unet_lora.x.to_q.lora_B.default.weight"
    save_file(LORA | {name: torch.full((8, 4), value)}, path)
    info = inspect(path)  # only reads the header
    with pytest.raises(AdapterError, match=f"{name} contains NaN or infinite values"):
        read_tensors(info)
