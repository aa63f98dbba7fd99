"""The files of a base that are read, by its layout and variant."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from covergen.models.part_files import Selection, is_pipeline, select
from tests.unit.models.layouts import BASE_READ, BASE_UNREAD, SDXL, SDXL_INDEX, SDXL_READ

STABLE_DIFFUSION = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
FLUX = {
    "_class_name": "FluxPipeline",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
}
SHARDS = {f"transformer/diffusion_pytorch_model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
FLUX_FILES = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors.index.json",
    *SHARDS,
}


def selected(names: set[str], index: bytes, variant: str | None = None) -> Selection:
    return select("base", names, lambda _: index, variant=variant)


def encoded(index: Mapping[str, object]) -> bytes:
    return json.dumps(index).encode()


def test_variant_of_a_pipeline_is_selected_if_there_is_one() -> None:
    half = selected(SDXL, SDXL_INDEX, "fp16")
    assert (set(half.files), half.fault, half.variant) == (SDXL_READ, "", "fp16")
    full = selected(SDXL, SDXL_INDEX)
    assert set(full.files) == {name.replace(".fp16.", ".") for name in SDXL_READ}
    assert full.variant is None
    assert selected(SDXL_READ, SDXL_INDEX).variant == "fp16"  # there is nothing else
    assert selected(SDXL, SDXL_INDEX, "bf16").variant is None


def test_component_without_the_variant_falls_back() -> None:
    names = SDXL - {"vae/diffusion_pytorch_model.fp16.safetensors"}
    half = selected(names, SDXL_INDEX, "fp16")
    assert (half.fault, half.variant) == ("", "fp16")
    assert "vae/diffusion_pytorch_model.safetensors" in half.files
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in half.files


@pytest.mark.parametrize(
    ("gone", "fault"),
    [
        ("unet/diffusion_pytorch_model.fp16.safetensors", "lacks the weights of unet"),
        ("tokenizer_2/", "lacks tokenizer_2/"),
    ],
)
def test_incomplete_pipeline_names_what_it_lacks(gone: str, fault: str) -> None:
    names = {name for name in SDXL_READ if not name.startswith(gone)}
    assert fault in selected(names, SDXL_INDEX).fault


def test_all_shards_are_needed() -> None:
    whole = selected(FLUX_FILES, encoded(FLUX))
    assert (set(whole.files), whole.fault) == (FLUX_FILES, "")
    for shard in SHARDS:
        assert "transformer" in selected(FLUX_FILES - {shard}, encoded(FLUX)).fault
    half = {name.replace("model-", "model.fp16-") for name in SHARDS}
    assert selected(FLUX_FILES - SHARDS | half, encoded(FLUX)).variant == "fp16"


@pytest.mark.parametrize("index", [encoded(STABLE_DIFFUSION), b"[]", b"damaged"])
def test_stable_diffusion_is_read_as_before(index: bytes) -> None:
    assert set(selected(BASE_READ | BASE_UNREAD, index).files) == BASE_READ


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"safety_checker": [None, None]}, False),
        ({"_class_name": "LatentConsistencyModelPipeline"}, True),
        ({"text_encoder": ["transformers", "T5EncoderModel"]}, True),
        ({"unet": None, "transformer": ["diffusers", "PixArtTransformer2DModel"]}, True),
    ],
)
def test_other_families_are_pipelines(
    tmp_path: Path, change: dict[str, object], *, expected: bool
) -> None:
    assert not is_pipeline(tmp_path)
    (tmp_path / "model_index.json").write_bytes(encoded({**STABLE_DIFFUSION, **change}))
    assert is_pipeline(tmp_path) is expected
