"""Exported adapters, loaded as other programs do."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file

from covergen.core.errors import ModelError
from covergen.diffusion.adapter import create, inspect, save
from covergen.diffusion.export import Layout, export, files_of
from covergen.diffusion.lora import lora_tensors
from tests.plain_diffusion import merged_unet, predict
from tests.tiny_base import make_tiny_adapter

RANK, ALPHA = 4, 10.0
BOTH = pytest.mark.parametrize("name", ["sd1", "sd2"])


def make_adapter(path: Path, base: Path) -> Path:
    """Save an adapter whose alpha differs from its rank, with random weights."""
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    torch.manual_seed(0)
    projection = create(unet, d_audio=512, rank=RANK, alpha=ALPHA, projection="tokens", tokens=7)
    with torch.no_grad():
        for tensor in lora_tensors(unet).values():
            tensor.normal_(std=0.2)
    save(path, unet, projection, title="Mine", base="base/name", clap="clap/name", training={})
    return path


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.fixture
def base(name: str, request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(name)
    return folder


@pytest.fixture
def expected(base: Path, tmp_path: Path) -> torch.Tensor:
    """The output with the adapter merged by hand; differs clearly from the base's."""
    adapter = make_adapter(tmp_path / "mine.safetensors", base)
    plain = UNet2DConditionModel.from_pretrained(base / "unet")
    merged = merged_unet(base, adapter, scaling=ALPHA / RANK)
    result = predict(merged)
    assert (result - predict(plain)).abs().max() > 0.1 * result.abs().max()
    return result


@pytest.fixture
def exported(expected: torch.Tensor, layout: Layout, tmp_path: Path) -> Path:
    export(inspect(tmp_path / "mine.safetensors"), tmp_path / "out", layout)
    return tmp_path / "out"


@contextmanager
def diffusers_warnings() -> Iterator[list[str]]:
    """The warnings of diffusers' logger, the only sign of unused weights."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]  # a minimal handler
    logger = logging.getLogger("diffusers")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


@BOTH
@pytest.mark.parametrize("layout", ["diffusers"])
def test_diffusers_loads_an_export(exported: Path, base: Path, expected: torch.Tensor) -> None:
    pipeline = StableDiffusionPipeline(
        **dict.fromkeys(("vae", "text_encoder", "tokenizer", "safety_checker")),
        feature_extractor=None,
        requires_safety_checker=False,
        unet=UNet2DConditionModel.from_pretrained(base / "unet"),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
    )
    with diffusers_warnings() as messages:
        pipeline.load_lora_weights(exported)
    assert not [text for text in messages if "text_encoder" not in text]
    assert_same(predict(pipeline.unet), expected)


@BOTH
@pytest.mark.parametrize("layout", ["diffusers"])
def test_readers_of_kohyas_format_load_an_export(
    exported: Path, base: Path, expected: torch.Tensor
) -> None:
    """Like ComfyUI and A1111, which look up a key for each weight."""
    file = exported / "pytorch_lora_weights.safetensors"
    tensors = load_file(file)
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    weights = unet.state_dict()
    for name in [name for name in weights if name.endswith(".weight")]:
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        if f"{key}.lora_down.weight" not in tensors:
            continue
        down, up, alpha = (
            tensors.pop(f"{key}.{part}") for part in ("lora_down.weight", "lora_up.weight", "alpha")
        )
        change = up.flatten(1) @ down.flatten(1) * alpha.item() / down.shape[0]
        weights[name] += change.view_as(weights[name])
    assert not tensors, "all tensors are used"
    assert_same(predict(unet), expected)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    is_v2 = base.name.startswith("sd2")
    assert metadata["ss_base_model_version"] == ("sd_v2" if is_v2 else "sd_v1")
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "10.0")
    assert metadata["ss_network_module"] == "networks.lora"
    assert metadata["modelspec.title"] == "Mine"
    assert metadata["modelspec.architecture"].startswith(
        "stable-diffusion-v2" if is_v2 else "stable-diffusion-v1/"
    )


@BOTH
@pytest.mark.parametrize("layout", ["peft"])
def test_peft_loads_an_export(exported: Path, base: Path, expected: torch.Tensor) -> None:
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    model = PeftModel.from_pretrained(unet, str(exported))
    assert_same(predict(model, like=unet), expected)
    assert model.peft_config["default"].base_model_name_or_path == "base/name"


@pytest.mark.parametrize("name", ["sd1"])
@pytest.mark.parametrize("layout", ["diffusers", "peft"])
def test_projection_is_exported_to_its_own_file(
    exported: Path, layout: Layout, tmp_path: Path
) -> None:
    info = inspect(tmp_path / "mine.safetensors")
    assert {path.name for path in exported.iterdir()} == set(files_of(info, layout))
    found = load_file(exported / "audio_projection.safetensors")
    trained = load_file(info.path)
    assert found.keys() == {"weight", "bias", "norm.weight", "norm.bias"}
    for name, tensor in found.items():
        assert torch.equal(tensor, trained[f"audio_projection.{name}"])
    with safe_open(exported / "audio_projection.safetensors", framework="pt") as opened:
        metadata = opened.metadata()
    assert (metadata["covergen.tokens"], metadata["covergen.clap"]) == ("7", "clap/name")


@pytest.mark.parametrize("layout", ["diffusers", "peft"])
def test_exports_are_deterministic(sd1: Path, layout: Layout, tmp_path: Path) -> None:
    info = inspect(make_adapter(tmp_path / "mine.safetensors", sd1))
    for folder in ("a", "b"):
        export(info, tmp_path / folder, layout)
    for file in files_of(info, layout):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_adapter_without_a_projection_exports_only_the_lora(sd1: Path, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "a.safetensors", sd1, d_audio=32, projection="none")
    export(inspect(adapter), tmp_path / "out", "diffusers")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["pytorch_lora_weights.safetensors"]


@pytest.mark.parametrize("layout", ["diffusers", "peft"])
def test_export_to_a_file_is_an_error(sd1: Path, layout: Layout, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "a.safetensors", sd1)
    with pytest.raises(ModelError, match=r"a\.safetensors cannot be written: File exists"):
        export(inspect(adapter), adapter, layout)
