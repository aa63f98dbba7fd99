"""What a folder must hold to be a base, told before a weight is read."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest

from covergen.core.errors import ModelError, ModelMissingError
from covergen.diffusion.base_config import read_config
from tests.tiny_base import make_tiny_base


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_every_size_comes_from_the_configs(sd1: Path, sd2: Path, tmp_path: Path) -> None:
    first, second = read_config(sd1), read_config(sd2)
    assert (first.latent_shape, first.picture_size) == ((4, 8, 8), (64, 64))
    assert (second.latent_shape, second.picture_size) == ((3, 12, 16), (48, 64))
    assert (first.cross_attention_dim, first.vae["scaling_factor"]) == (32, 0.18215)
    assert second.vae["scaling_factor"] == 0.3
    other = read_config(make_tiny_base(tmp_path, cross_attention_dim=24, latent_channels=5))
    assert (other.cross_attention_dim, other.latent_shape) == (24, (5, 8, 8))


def test_defaults_of_the_classes_are_filled_in(sd1: Path, tmp_path: Path) -> None:
    """Stable Diffusion 1.5's own VAE config has no scaling factor."""
    base = copytree(sd1, tmp_path / "base")
    path = base / "vae" / "config.json"
    config = json.loads(path.read_text())
    del config["scaling_factor"]
    path.write_text(json.dumps(config))
    assert read_config(base).vae["scaling_factor"] == 0.18215


def damaged_tokens(base: Path) -> None:
    edit(base / "text_encoder" / "config.json", hidden_size=64)


def other_class(base: Path) -> None:
    edit(base / "vae" / "config.json", _class_name="AutoencoderTiny")


def other_text_encoder(base: Path) -> None:
    edit(base / "text_encoder" / "config.json", architectures=["T5EncoderModel"])


def inpainting(base: Path) -> None:
    edit(base / "unet" / "config.json", in_channels=9)


def sdxl(base: Path) -> None:
    edit(
        base / "unet" / "config.json",
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16,
    )


def absurd(base: Path) -> None:
    edit(base / "unet" / "config.json", down_block_types=["NoSuchBlock2D"])


def sizeless(base: Path) -> None:
    edit(base / "unet" / "config.json", sample_size=None)


def several_widths(base: Path) -> None:
    edit(base / "unet" / "config.json", cross_attention_dim=[32, 32])


def no_scheduler(base: Path) -> None:
    rmtree(base / "scheduler")


def no_tokenizer(base: Path) -> None:
    (base / "tokenizer" / "tokenizer.json").unlink()


def no_json(base: Path) -> None:
    (base / "unet" / "config.json").write_text("{")


def a_list(base: Path) -> None:
    (base / "unet" / "config.json").write_text("[]")


def no_weights(base: Path) -> None:
    (base / "vae" / "diffusion_pytorch_model.safetensors").unlink()


def pickled(base: Path) -> None:
    weights = base / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def truncated(base: Path) -> None:
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def overwritten(base: Path) -> None:
    (base / "text_encoder" / "model.safetensors").write_bytes(b"<html>not found</html>")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damaged_tokens, r"text_encoder/config.json: expected hidden_size = 32.* found 64"),
        (other_class, r"vae/config.json: expected the class AutoencoderKL, found AutoencoderTiny"),
        (other_text_encoder, r"text_encoder/config.json: expected the class CLIPTextModel"),
        (inpainting, r"unet/config.json: expected in_channels = 4, as the VAE has, found 9"),
        (sdxl, r"unet/config.json: expected no addition_embed_type.* found text_time"),
        (absurd, r"unet/config.json: no UNet2DConditionModel can be made of it"),
        (sizeless, r"unet/config.json: expected a sample_size"),
        (several_widths, r"unet/config.json: expected one number for cross_attention_dim"),
        (no_scheduler, r"scheduler/scheduler_config.json: no such file"),
        (no_tokenizer, r"tokenizer: expected vocab.json and merges.txt, or tokenizer.json"),
        (no_json, r"unet/config.json: not a readable JSON file"),
        (a_list, r"unet/config.json: expected a JSON object, found list"),
        (no_weights, r"vae: expected diffusion_pytorch_model.safetensors, found no weights"),
        (pickled, r"vae: expected .*safetensors, found diffusion_pytorch_model.bin.*can run code"),
        (truncated, r"unet/diffusion_pytorch_model.safetensors: expected a whole safetensors file"),
        (overwritten, r"text_encoder/model.safetensors: expected a whole safetensors file"),
    ],
)
def test_a_base_that_cannot_work_is_told_before_it_is_loaded(
    damage: Callable[[Path], None], says: str, sd1: Path, tmp_path: Path
) -> None:
    base = copytree(sd1, tmp_path / "base")
    damage(base)
    with pytest.raises(ModelError, match=says) as caught:
        read_config(base)
    assert "Fetch it again" in caught.value.hint


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="nowhere: no such folder"):
        read_config(tmp_path / "nowhere")


def test_fp16_files_serve_where_there_are_no_others(tmp_path: Path) -> None:
    config = read_config(make_tiny_base(tmp_path, variant="fp16"))
    assert config.variants == {"unet": "fp16", "vae": "fp16", "text_encoder": "fp16"}
    make_tiny_base(tmp_path)
    assert set(read_config(tmp_path).variants.values()) == {None}
