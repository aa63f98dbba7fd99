"""An adapter is created, saved, told by its file, checked against a base, and loaded again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from covergen.core.errors import AdapterError, ModelError
from covergen.diffusion.adapter import check_fit, create, inspect, load, merge, read_tensors, save
from covergen.diffusion.base_config import read_config
from covergen.diffusion.projection import ProjectionKind
from tests.plain_diffusion import merged_unet
from tests.tiny_base import make_tiny_adapter, make_tiny_base

TRAINING = {"learning_rate": 1e-4, "recipe": "default", "steps": 1000}


def load_unet(base: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(base / "unet").eval()


def save_new(path: Path, base: Path, **options: Any) -> tuple[UNet2DConditionModel, Any]:
    """Create and save one; its LoRA is not zero."""
    unet = load_unet(base)
    torch.manual_seed(5)
    settings = {"d_audio": 512, "rank": 4, "alpha": 4, "projection": "tokens", "tokens": 7}
    projection = create(unet, **{**settings, **options})
    with torch.no_grad():
        for parameter in unet.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    save(path, unet, projection, title="Mine", base="some/base", clap="a/clap", training=TRAINING)
    return unet, projection


@torch.no_grad()
def predict(unet: UNet2DConditionModel, tokens: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(len(tokens), unet.config.in_channels, 8, 8, generator=generator)
    return unet(latents, 500, tokens).sample


@pytest.mark.parametrize(
    ("projection", "tokens", "d_audio"), [("tokens", 7, 512), ("linear", 1, 512), ("none", 1, 32)]
)
@pytest.mark.parametrize("base", ["sd1", "sd2"])
def test_what_is_saved_comes_back(
    base: str,
    projection: str,
    tokens: int,
    d_audio: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder: Path = request.getfixturevalue(base)
    path = tmp_path / "adapter.safetensors"
    made, module = save_new(
        path, folder, projection=projection, tokens=tokens, d_audio=d_audio, rank=3, alpha=6
    )
    info = inspect(path)
    assert (info.rank, info.alpha, info.projection, info.tokens) == (3, 6.0, projection, tokens)
    assert info.d_audio == (None if projection == "none" else d_audio)
    assert (info.title, info.base, info.clap) == ("Mine", "some/base", "a/clap")
    assert info.training == TRAINING
    assert info.empty_prompt == "plain"
    check_fit(info, read_config(folder), d_audio=d_audio, lora_rank=3)
    unet = load_unet(folder)
    loaded = load(info, read_tensors(info), unet)
    embedding = torch.randn(2, d_audio)
    assert torch.equal(loaded(embedding), module(embedding))
    expected = predict(made, module(embedding))
    assert torch.equal(predict(unet, loaded(embedding)), expected)
    merge(unet)
    by_hand = predict(merged_unet(folder, path, scaling=6 / 3), module(embedding))
    for found in (predict(unet, loaded(embedding)), by_hand):
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_file_is_the_references_and_more(sd1: Path, tmp_path: Path) -> None:
    """Its keys are those of the reference, beside the norm, and its metadata ModelSpec's."""
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


def test_the_same_contents_are_the_same_bytes(sd1: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for path in paths:
        save_new(path, sd1)
    assert len({path.read_bytes() for path in paths}) == 1
    assert len({inspect(path).sha256 for path in paths}) == 1


def test_saving_replaces_the_file_whole_or_leaves_it(
    sd1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "adapter.safetensors"
    save_new(path, sd1)
    before = path.read_bytes()

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        with pytest.raises(ModelError, match="No space left on device"):
            save_new(path, sd1, rank=8, alpha=8)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["adapter.safetensors"]
    save_new(path, sd1, rank=8, alpha=8)
    assert inspect(path).rank == 8
    assert [p.name for p in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_a_folder_that_is_not_there_is_an_error(sd1: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be written"):
        save_new(tmp_path / "nowhere" / "adapter.safetensors", sd1)


@pytest.mark.parametrize("reference", [True, False])
def test_the_users_rank_is_checked(reference: bool, sd1: Path, tmp_path: Path) -> None:
    path = make_tiny_adapter(
        tmp_path / "a.safetensors", sd1, projection="linear", rank=8, reference=reference
    )
    check_fit(inspect(path), read_config(sd1), d_audio=512, lora_rank=8)
    with pytest.raises(AdapterError, match="expected LoRA rank 4, as asked for, found 8"):
        check_fit(inspect(path), read_config(sd1), d_audio=512, lora_rank=4)


@pytest.mark.parametrize("projection", ["tokens", "linear"])
def test_embeddings_of_another_length_do_not_fit(
    projection: ProjectionKind, sd1: Path, tmp_path: Path
) -> None:
    path = make_tiny_adapter(tmp_path / "a.safetensors", sd1, projection=projection, d_audio=64)
    with pytest.raises(AdapterError, match=r"projection of 512 numbers.* found one of 64"):
        check_fit(inspect(path), read_config(sd1), d_audio=512)


def test_without_a_projection_the_sizes_must_match(sd1: Path, tmp_path: Path) -> None:
    path = make_tiny_adapter(tmp_path / "a.safetensors", sd1, projection="none", reference=True)
    check_fit(inspect(path), read_config(sd1), d_audio=32)
    with pytest.raises(AdapterError, match=r"projection of 512 numbers.* found one of 32"):
        check_fit(inspect(path), read_config(sd1), d_audio=512)


def test_another_base_does_not_fit(sd1: Path, sd2: Path, tmp_path: Path) -> None:
    path = make_tiny_adapter(tmp_path / "a.safetensors", sd1)
    with pytest.raises(AdapterError, match="does not fit the base") as caught:
        check_fit(inspect(path), read_config(sd2), d_audio=512)
    message = str(caught.value)
    for part in ("are missing, such as", "are unknown to the base", "have other shapes"):
        assert part in message
    assert "trained on tiny/base" in caught.value.hint
    wider = make_tiny_base(tmp_path / "wider", cross_attention_dim=64)
    with pytest.raises(
        AdapterError, match=r"audio_projection\.bias: expected \(448,\), found \(224,\)"
    ):
        check_fit(inspect(path), read_config(wider), d_audio=512)


def test_a_missing_or_unknown_module_does_not_fit(sd1: Path, tmp_path: Path) -> None:
    reference = make_tiny_adapter(
        tmp_path / "a.safetensors", sd1, projection="linear", reference=True
    )
    tensors = load_file(reference)
    name = next(key for key in tensors if "to_q" in key)
    tensors[name.replace("to_q", "to_z")] = tensors.pop(name)
    path = tmp_path / "b.safetensors"
    save_file(tensors, path)
    with pytest.raises(AdapterError) as caught:
        check_fit(inspect(path), read_config(sd1), d_audio=512)
    assert f"1 of the base's tensors are missing, such as {name}" in caught.value.message
    assert name.replace("to_q", "to_z") in caught.value.message
