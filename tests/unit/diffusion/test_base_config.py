"""Checks of a base's folder, without loading its weights."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from covergen.core.errors import ModelError, ModelMissingError
from covergen.diffusion.base_config import read_config
from tests.tiny_base import make_tiny_base


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_sizes_are_read_from_the_configs(sd1: Path, sd2: Path, tmp_path: Path) -> None:
    first, second = read_config(sd1), read_config(sd2)
    assert (first.latent_shape, first.picture_size) == ((4, 8, 8), (64, 64))
    assert (second.latent_shape, second.picture_size) == ((3, 12, 16), (48, 64))
    assert (first.cross_attention_dim, first.vae["scaling_factor"]) == (32, 0.18215)
    assert second.vae["scaling_factor"] == 0.3
    other = read_config(make_tiny_base(tmp_path, cross_attention_dim=24, latent_channels=5))
    assert (other.cross_attention_dim, other.latent_shape) == (24, (5, 8, 8))


def test_missing_settings_have_the_defaults_of_their_class(sd1: Path, tmp_path: Path) -> None:
    """Stable Diffusion 1.5's VAE config has no scaling factor."""
    base = copytree(sd1, tmp_path / "base")
    path = base / "vae" / "config.json"
    config = json.loads(path.read_text())
    del config["scaling_factor"]
    path.write_text(json.dumps(config))
    assert read_config(base).vae["scaling_factor"] == 0.18215


def unet(**changes: Any) -> Callable[[Path], None]:
    return lambda base: edit(base / "unet" / "config.json", **changes)


def write(path: str, content: bytes) -> Callable[[Path], object]:
    return lambda base: (base / path).write_bytes(content)


def remove(path: str) -> Callable[[Path], object]:
    return lambda base: (base / path).unlink()


def other_text_width(base: Path) -> None:
    edit(base / "text_encoder" / "config.json", hidden_size=64)


def other_text_encoder(base: Path) -> None:
    edit(base / "text_encoder" / "config.json", architectures=["T5EncoderModel"])


def other_vae(base: Path) -> None:
    edit(base / "vae" / "config.json", _class_name="AutoencoderTiny")


def pickled(base: Path) -> None:
    weights = base / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def truncated(base: Path) -> None:
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


SDXL = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 16,
}
VAE_WEIGHTS = "vae/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (other_text_width, r"text_encoder/config.json: expected hidden_size = 32.* found 64"),
        (other_text_encoder, r"text_encoder/config.json: expected the class CLIPTextModel"),
        (other_vae, r"vae/config.json: expected the class AutoencoderKL, found AutoencoderTiny"),
        (unet(in_channels=9), r"unet/config.json: expected in_channels = 4 like the VAE, found 9"),
        (unet(**SDXL), r"unet/config.json: expected no addition_embed_type.* found text_time"),
        (unet(down_block_types=["NoSuchBlock2D"]), r"cannot create a UNet2DConditionModel from it"),
        (unet(sample_size=None), r"unet/config.json: expected a sample_size"),
        (unet(cross_attention_dim=[32, 32]), r"expected a single cross_attention_dim"),
        (write("unet/config.json", b"{"), r"unet/config.json: not a readable JSON file"),
        (write("unet/config.json", b"[]"), r"unet/config.json: expected a JSON object, found list"),
        (remove("scheduler/scheduler_config.json"), r"scheduler_config.json: no such file"),
        (remove("tokenizer/tokenizer.json"), r"tokenizer: expected vocab.json and merges.txt, or"),
        (remove(VAE_WEIGHTS), r"expected diffusion_pytorch_model.safetensors, found no weights"),
        (pickled, r"vae: expected .*safetensors, found diffusion_pytorch_model.bin.*can run code"),
        (truncated, r"unet/diffusion_pytorch_model.safetensors: not a valid safetensors file"),
        (write("text_encoder/model.safetensors", b"<html>"), r"not a valid safetensors file"),
    ],
)
def test_unsuitable_and_damaged_bases_are_refused(
    damage: Callable[[Path], object], problem: str, sd1: Path, tmp_path: Path
) -> None:
    base = copytree(sd1, tmp_path / "base")
    damage(base)
    with pytest.raises(ModelError, match=problem) as caught:
        read_config(base)
    assert "Download it again" in caught.value.hint


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="nowhere: no such folder"):
        read_config(tmp_path / "nowhere")


def test_fp16_files_are_used_if_there_are_no_others(tmp_path: Path) -> None:
    config = read_config(make_tiny_base(tmp_path, variant="fp16"))
    assert config.variants == {"unet": "fp16", "vae": "fp16", "text_encoder": "fp16"}
    make_tiny_base(tmp_path)
    assert set(read_config(tmp_path).variants.values()) == {None}
