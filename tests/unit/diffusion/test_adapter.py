"""Adapters: creating, saving, checking against a base and loading."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file

from covergen.core.errors import AdapterError, ModelError
from covergen.diffusion.adapter import check_fit, create, load, save
from covergen.diffusion.adapter_file import inspect, read_tensors
from covergen.diffusion.base_config import read_config
from covergen.diffusion.lora import lora_tensors, merge
from covergen.diffusion.projection import ProjectionKind
from tests.plain_diffusion import merged_unet, predict
from tests.tiny_base import make_tiny_adapter, make_tiny_base

TRAINING = {"learning_rate": 1e-4, "recipe": "default", "steps": 1000}


def load_unet(base: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(base / "unet").eval()


def save_new(path: Path, base: Path, **options: Any) -> tuple[UNet2DConditionModel, Any]:
    """Create and save an adapter with a random LoRA."""
    unet = load_unet(base)
    torch.manual_seed(5)
    settings = {"d_audio": 512, "rank": 4, "alpha": 4, "projection": "tokens", "tokens": 7}
    projection = create(unet, **{**settings, **options})
    with torch.no_grad():
        for tensor in lora_tensors(unet).values():
            tensor.normal_(std=0.1)
    save(path, unet, projection, title="Mine", base="some/base", clap="a/clap", training=TRAINING)
    return unet, projection


@pytest.mark.parametrize(
    ("base", "projection", "tokens", "d_audio"),
    [("sd1", "tokens", 7, 512), ("sd2", "linear", 1, 512), ("sd1", "none", 1, 32)],
)
def test_saved_adapter_is_loaded_and_merged_unchanged(
    base: str,
    projection: str,
    tokens: int,
    d_audio: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder: Path = request.getfixturevalue(base)
    path = tmp_path / "adapter.safetensors"
    saved_unet, module = save_new(
        path, folder, projection=projection, tokens=tokens, d_audio=d_audio, rank=3, alpha=6
    )
    info = inspect(path)
    assert (info.rank, info.alpha, info.projection, info.tokens) == (3, 6.0, projection, tokens)
    assert info.d_audio == (None if projection == "none" else d_audio)
    assert (info.title, info.base, info.clap) == ("Mine", "some/base", "a/clap")
    assert (info.training, info.empty_prompt) == (TRAINING, "plain")
    check_fit(info, read_config(folder), d_audio=d_audio)

    unet = load_unet(folder)
    loaded = load(info, read_tensors(info), unet)
    embedding = torch.randn(2, d_audio)
    condition = loaded(embedding)
    assert torch.equal(condition, module(embedding))
    expected = predict(saved_unet, condition)
    assert torch.equal(predict(unet, condition), expected)
    merge(unet)
    by_hand = merged_unet(folder, path, scaling=6 / 3)
    for merged in (unet, by_hand):
        difference = predict(merged, condition) - expected
        assert difference.abs().max() <= 1e-5 * expected.abs().max()


def test_file_format(sd1: Path, tmp_path: Path) -> None:
    """Keys match the reference's, plus the norm; metadata follows ModelSpec."""
    reference = make_tiny_adapter(
        tmp_path / "reference.safetensors", sd1, projection="linear", reference=True
    )
    save_new(tmp_path / "linear.safetensors", sd1, projection="linear", tokens=1)
    save_new(tmp_path / "tokens.safetensors", sd1)
    keys = load_file(reference).keys()
    assert load_file(tmp_path / "linear.safetensors").keys() == keys
    norm = {"audio_projection.norm.weight", "audio_projection.norm.bias"}
    assert load_file(tmp_path / "tokens.safetensors").keys() == keys | norm
    with safe_open(tmp_path / "tokens.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["modelspec.sai_model_spec"] == "1.0.0"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert metadata["modelspec.implementation"]
    assert metadata["modelspec.title"] == "Mine"
    assert json.loads(metadata["covergen.training"]) == TRAINING


def test_saving_is_deterministic_and_atomic(
    sd1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for path in paths:
        save_new(path, sd1)
    before = paths[0].read_bytes()
    assert {path.read_bytes() for path in paths} == {before}

    no_space = Mock(side_effect=OSError(28, "No space left on device"))
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        with pytest.raises(ModelError, match="No space left on device"):
            save_new(paths[0], sd1, rank=8, alpha=8)
    assert paths[0].read_bytes() == before
    save_new(paths[0], sd1, rank=8, alpha=8)
    assert inspect(paths[0]).rank == 8
    assert sorted(tmp_path.iterdir()) == paths, "no temporary files remain"
    with pytest.raises(ModelError, match="cannot be written"):
        save_new(tmp_path / "nowhere" / "adapter.safetensors", sd1)


@pytest.mark.parametrize("reference", [True, False])
def test_rank_is_read_from_the_file(reference: bool, sd1: Path, tmp_path: Path) -> None:
    path = make_tiny_adapter(
        tmp_path / "a.safetensors", sd1, projection="linear", rank=8, reference=reference
    )
    info = inspect(path)
    assert info.rank == 8
    check_fit(info, read_config(sd1), d_audio=512)


@pytest.mark.parametrize(("projection", "length"), [("tokens", 64), ("linear", 64), ("none", 32)])
def test_embeddings_of_another_length_do_not_fit(
    projection: ProjectionKind, length: int, sd1: Path, tmp_path: Path
) -> None:
    """Without a projection, the length must be the base's 32."""
    path = make_tiny_adapter(tmp_path / "a.safetensors", sd1, projection=projection, d_audio=length)
    check_fit(inspect(path), read_config(sd1), d_audio=length)
    with pytest.raises(AdapterError, match=rf"of length 512.* found length {length}"):
        check_fit(inspect(path), read_config(sd1), d_audio=512)


def test_adapter_of_another_base_does_not_fit(sd1: Path, sd2: Path, tmp_path: Path) -> None:
    path = make_tiny_adapter(tmp_path / "a.safetensors", sd1)
    with pytest.raises(AdapterError, match="does not fit the base") as caught:
        check_fit(inspect(path), read_config(sd2), d_audio=512)
    message = str(caught.value)
    for part in ("are missing, such as", "are not in the base", "have the wrong shape"):
        assert part in message
    assert "trained on tiny/base" in caught.value.hint
    wider = make_tiny_base(tmp_path / "wider", cross_attention_dim=64)
    with pytest.raises(
        AdapterError, match=r"audio_projection\.bias: expected \(448,\), found \(224,\)"
    ):
        check_fit(inspect(path), read_config(wider), d_audio=512)
