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
from covergen.diffusion.adapter import create, save
from covergen.diffusion.adapter_file import inspect
from covergen.diffusion.export import Layout, export, files_of
from covergen.diffusion.lora import lora_tensors
from tests.plain_diffusion import merged_unet, predict
from tests.tiny_base import make_tiny_adapter

RANK, ALPHA = 4, 10.0


@pytest.fixture(params=["sd1", "sd2"])
def base(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def unet(base: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(base / "unet")


@pytest.fixture
def adapter(base: Path, unet: UNet2DConditionModel, tmp_path: Path) -> Path:
    """An adapter whose alpha differs from its rank, with random weights."""
    path = tmp_path / "mine.safetensors"
    trained = UNet2DConditionModel.from_pretrained(base / "unet")
    torch.manual_seed(0)
    projection = create(trained, d_audio=512, rank=RANK, alpha=ALPHA, projection="tokens", tokens=7)
    with torch.no_grad():
        for tensor in lora_tensors(trained).values():
            tensor.normal_(std=0.2)
    save(path, trained, projection, title="Mine", base="base/name", clap="clap/name", training={})
    return path


@pytest.fixture
def expected(base: Path, adapter: Path, unet: UNet2DConditionModel) -> torch.Tensor:
    """The output with the adapter merged by hand; differs clearly from the base's."""
    result = predict(merged_unet(base, adapter, scaling=ALPHA / RANK))
    assert (result - predict(unet)).abs().max() > 0.1 * result.abs().max()
    return result


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def read_metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata()
    return metadata


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


def test_diffusers_loads_an_export(
    adapter: Path, unet: UNet2DConditionModel, expected: torch.Tensor, tmp_path: Path
) -> None:
    export(inspect(adapter), tmp_path / "out", "diffusers")
    pipeline = StableDiffusionPipeline(
        **dict.fromkeys(("vae", "text_encoder", "tokenizer", "safety_checker")),
        feature_extractor=None,
        requires_safety_checker=False,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
    )
    with diffusers_warnings() as messages:
        pipeline.load_lora_weights(tmp_path / "out")
    assert not [text for text in messages if "text_encoder" not in text]
    assert_same(predict(pipeline.unet), expected)


def test_readers_of_kohyas_format_load_an_export(
    adapter: Path, unet: UNet2DConditionModel, expected: torch.Tensor, tmp_path: Path
) -> None:
    """Like ComfyUI and A1111, which look up a key for each weight."""
    export(inspect(adapter), tmp_path / "out", "diffusers")
    file = tmp_path / "out" / "pytorch_lora_weights.safetensors"
    tensors = load_file(file)
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
    metadata = read_metadata(file)
    version, architecture = ("sd_v1", "stable-diffusion-v1/lora")
    if unet.config.use_linear_projection:
        version, architecture = ("sd_v2", "stable-diffusion-v2-512/lora")
    assert metadata["ss_base_model_version"] == version
    assert metadata["modelspec.architecture"] == architecture
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "10.0")
    assert metadata["ss_network_module"] == "networks.lora"
    assert metadata["modelspec.title"] == "Mine"


def test_peft_loads_an_export(
    adapter: Path, unet: UNet2DConditionModel, expected: torch.Tensor, tmp_path: Path
) -> None:
    export(inspect(adapter), tmp_path / "out", "peft")
    model = PeftModel.from_pretrained(unet, str(tmp_path / "out"))
    assert_same(predict(model, like=unet), expected)
    assert model.peft_config["default"].base_model_name_or_path == "base/name"


@pytest.mark.parametrize("base", ["sd1"], indirect=True)
@pytest.mark.parametrize("layout", ["diffusers", "peft"])
def test_export_is_deterministic_with_the_projection_in_its_own_file(
    adapter: Path, layout: Layout, tmp_path: Path
) -> None:
    info = inspect(adapter)
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        export(info, folder, layout)
        assert {path.name for path in folder.iterdir()} == set(files_of(info, layout))
    for name in files_of(info, layout):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    found, trained = load_file(one / "audio_projection.safetensors"), load_file(adapter)
    assert found.keys() == {"weight", "bias", "norm.weight", "norm.bias"}
    for name, tensor in found.items():
        assert torch.equal(tensor, trained[f"audio_projection.{name}"])
    metadata = read_metadata(one / "audio_projection.safetensors")
    assert (metadata["covergen.tokens"], metadata["covergen.clap"]) == ("7", "clap/name")


def test_export_without_a_projection_and_to_a_file(sd1: Path, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "a.safetensors", sd1, d_audio=32, projection="none")
    export(inspect(adapter), tmp_path / "out", "diffusers")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["pytorch_lora_weights.safetensors"]
    for layout in ("diffusers", "peft"):
        with pytest.raises(ModelError, match=r"a\.safetensors cannot be written: File exists"):
            export(inspect(adapter), adapter, layout)
