"""Painting with any text-to-image pipeline, compared with diffusers' own call."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderTiny,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    StableDiffusionXLPipeline,
)
from safetensors.torch import load_file, save_file

from covergen.core.cover import DEFAULT_SCHEDULER, PaintRequest, Sampling
from covergen.core.errors import AdapterError, Interrupted, ModelError, UsageError
from covergen.diffusion.batch_size import choose_offload
from covergen.diffusion.batches import Pictures
from covergen.diffusion.pipeline_config import is_distilled, read_pipeline_config
from covergen.diffusion.pipeline_loading import load_pipeline
from covergen.diffusion.pipeline_painter import PipelinePainter
from covergen.diffusion.quiet import quiet
from tests.plain_diffusion import difference
from tests.tiny_lora import make_tiny_lora
from tests.tiny_pipelines import KINDS, edit_json, make_tiny_decoder, make_tiny_pipeline

CPU = torch.device("cpu")
PRESET = Sampling(steps=25, guidance=7.5, scheduler="dpm++")
PROMPTS = ("a red circle", "blue", "waves of sand at night")
Load = Callable[..., PipelinePainter]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("sdxl"), "sdxl")


def load(folder: Path, **options: Any) -> PipelinePainter:
    painter = load_pipeline(folder, name="tiny", device=CPU, dtype=torch.float32, **options)
    _shrink(painter.pipeline)
    return painter


def _shrink(pipeline: DiffusionPipeline) -> None:
    """FLUX paints 1024 pixels, whatever its config says."""
    if type(pipeline).__name__ == "FluxPipeline":
        pipeline.default_sample_size = 8


def paint(
    painter: PipelinePainter,
    prompts: Sequence[str] = PROMPTS,
    *,
    batch_size: int = 3,
    sampling: Sampling | None = None,
    check_interrupted: Callable[[], None] = lambda: None,
    on_step: Callable[[int, float], None] = lambda *_: None,
) -> Pictures:
    vector = np.zeros(512, np.float32)
    requests = [
        PaintRequest(vector=vector, seed=7 + seed, prompt=prompt)
        for seed, prompt in enumerate(prompts)
    ]
    batches = painter.paint_batches(
        requests,
        sampling or few_steps(painter),
        batch_size=batch_size,
        check_interrupted=check_interrupted,
        on_step=on_step,
    )
    return np.concatenate(list(batches))


def few_steps(painter: PipelinePainter, **options: Any) -> Sampling:
    own = painter.config.sampling(PRESET, ())
    return Sampling(steps=2, guidance=own.guidance, scheduler=own.scheduler, **options)


def plain_pictures(
    pipeline: DiffusionPipeline, prompts: Sequence[str] = PROMPTS, **options: Any
) -> Pictures:
    pipeline.set_progress_bar_config(disable=True)
    _shrink(pipeline)
    with quiet():
        pictures = pipeline(
            prompt=list(prompts),
            generator=[torch.Generator().manual_seed(7 + seed) for seed in range(len(prompts))],
            num_inference_steps=2,
            **options,
        ).images
    return np.stack([np.asarray(picture) for picture in pictures])


def plain_pipeline(folder: Path) -> DiffusionPipeline:
    absent = {"text_encoder_3": None, "tokenizer_3": None} if "sd3" in folder.name else {}
    with quiet():
        return DiffusionPipeline.from_pretrained(folder, **absent)


def test_pictures_equal_those_of_diffusers(folder: Path) -> None:
    painter = load(folder)
    expected = plain_pictures(plain_pipeline(folder))
    found = paint(painter)
    assert difference(found, expected) <= 1
    assert difference(paint(painter, batch_size=2), expected) <= 1
    assert difference(paint(painter, ["", *PROMPTS[1:]])[0], found[0]) > 1  # prompts matter
    assert found.std() > 5


def test_defaults_are_the_pipelines_own_unless_given(folder: Path) -> None:
    config = read_pipeline_config(folder)
    own = config.sampling(PRESET, ())
    documented = {"sdxl": (50, 5.0), "sd3": (28, 7.0), "flux": (28, 3.5), "pixart": (20, 4.5)}
    expected = next(values for name, values in documented.items() if folder.name.startswith(name))
    assert (own.steps, own.guidance, own.scheduler) == (*expected, DEFAULT_SCHEDULER)
    given = config.sampling(PRESET, ("steps", "guidance", "scheduler"))
    assert (given.steps, given.guidance, given.scheduler) == (25, 7.5, "dpm++")


def test_setting_that_a_pipeline_lacks_is_an_error_if_given(sdxl: Path) -> None:
    config = read_pipeline_config(sdxl)
    reusing = Sampling(steps=4, guidance=5, scheduler="ddim", reuse=2, guided_until=0.6)
    assert config.sampling(reusing, ("steps",)).reuse == 1
    with pytest.raises(UsageError, match=r"'reuse' does not apply .* StableDiffusionXLPipeline"):
        config.sampling(reusing, ("reuse",))


def test_steps_are_reported_and_can_be_interrupted(folder: Path) -> None:
    steps: list[tuple[int, float]] = []
    checks = iter([None, None, Interrupted])

    def check() -> None:
        if error := next(checks):
            raise error

    with pytest.raises(Interrupted):
        paint(load(folder), check_interrupted=check, on_step=lambda *done: steps.append(done))
    assert steps == [(3, pytest.approx(1 / 3)), (3, pytest.approx(2 / 3))]


def test_negative_prompt_is_passed_on_or_refused(sdxl: Path, tmp_path: Path) -> None:
    negative = plain_pictures(plain_pipeline(sdxl), negative_prompt=["red"] * 3)
    painter = load(sdxl, negative="red")
    assert difference(paint(painter), negative) <= 1
    assert difference(paint(load(sdxl)), negative) > 1
    index = json.loads((sdxl / "model_index.json").read_text())
    index |= {"_class_name": "LatentConsistencyModelPipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    for folder in (tmp_path, make_tiny_pipeline(tmp_path / "flux", "flux")):
        with pytest.raises(UsageError, match="takes no negative prompt"):
            load_pipeline(folder, name="tiny", device=CPU, dtype=torch.float32, negative="red")


def test_other_scheduler_is_used_where_it_fits(sdxl: Path, tmp_path: Path) -> None:
    painter = load(sdxl)
    sampling = Sampling(steps=2, guidance=5.0, scheduler="dpm++")
    plain = plain_pipeline(sdxl)
    plain.scheduler = DPMSolverMultistepScheduler.from_config(
        plain.scheduler.config, timestep_spacing="trailing"
    )
    assert difference(paint(painter, sampling=sampling), plain_pictures(plain)) <= 1
    flow = load(make_tiny_pipeline(tmp_path, "sd3"))
    with pytest.raises(UsageError, match=r"'dpm\+\+' does not apply .* StableDiffusion3Pipeline"):
        paint(flow, sampling=sampling)


def test_loras_and_decoder_equal_those_of_diffusers(sdxl: Path, tmp_path: Path) -> None:
    files = [make_tiny_lora(tmp_path / f"{seed}.safetensors", sdxl, seed=seed) for seed in (1, 2)]
    decoder = make_tiny_decoder(tmp_path / "vae")
    painter = load(sdxl, loras=[(files[0], 0.5), (files[1], -1.0)], vae=decoder)
    with quiet():
        plain = StableDiffusionXLPipeline.from_pretrained(
            sdxl, vae=AutoencoderTiny.from_pretrained(decoder)
        )
        for name, file in zip("ab", files, strict=True):
            plain.load_lora_weights(tmp_path, weight_name=file.name, adapter_name=name)
    plain.set_adapters(["a", "b"], [0.5, -1.0])
    expected = plain_pictures(plain)
    assert difference(paint(painter), expected) <= 1
    assert difference(paint(load(sdxl, vae=decoder)), expected) > 1


@pytest.mark.parametrize("kind", ["flux", "pixart"])  # with other LoRAs, and without any
def test_lora_that_does_not_fit_is_an_error(kind: str, sdxl: Path, tmp_path: Path) -> None:
    file = make_tiny_lora(tmp_path / "lora.safetensors", sdxl)
    other = make_tiny_pipeline(tmp_path / kind, kind)
    with pytest.raises(AdapterError, match=r"lora\.safetensors cannot be used with .*Pipeline"):
        load(other, loras=[(file, 1.0)])


def test_variant_is_loaded(tmp_path: Path) -> None:
    make_tiny_pipeline(tmp_path, "sdxl", variant="fp16")
    painter = load(tmp_path, variant="fp16")
    assert {painter.pipeline.unet.dtype, painter.pipeline.text_encoder.dtype} == {torch.float32}
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"_class_name": ["pipeline", "Own"]}, "needs code of its own"),
        ({"_class_name": "WanPipeline"}, "WanPipeline is not a text-to-image pipeline"),
        ({"_class_name": "TomorrowsPipeline"}, "TomorrowsPipeline is not a text-to-image pipeline"),
        ({"unet": ["mine", "MyUNet"]}, r"unet needs code of its own \(mine\)"),
        (
            {"unet": ["diffusers", "UNetOfTomorrow"]},
            "a UNetOfTomorrow, which the installed diffusers",
        ),
        ({"unet": False}, "lists no unet"),
    ],
)
def test_unusable_index_is_an_error_before_weights(
    sdxl: Path, tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    index = tmp_path / "model_index.json"
    index.write_bytes((sdxl / index.name).read_bytes())
    read_pipeline_config(tmp_path)  # needs nothing else
    edit_json(index, **change)
    with pytest.raises(ModelError, match=problem):
        read_pipeline_config(tmp_path)


def test_tokenizer_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    make_tiny_pipeline(tmp_path, "sdxl")
    edit_json(tmp_path / "tokenizer_2/tokenizer_config.json", auto_map={"AutoTokenizer": "own.Own"})
    with pytest.raises(ModelError, match=r"tokenizer_2.* needs code of its own"):
        read_pipeline_config(tmp_path)


def test_missing_tensors_are_an_error(sdxl: Path, tmp_path: Path) -> None:
    make_tiny_pipeline(tmp_path, "sdxl")
    file = tmp_path / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["conv_in.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(ModelError, match="conv_in"):
        load(tmp_path)


def test_offload_depends_on_what_fits() -> None:
    sizes = [5_100_000_000, 1_400_000_000, 250_000_000, 170_000_000]  # SDXL in fp16
    free = {"none": 12e9, "model": 7.5e9, "sequential": 4e9}
    assert [choose_offload(sizes, int(bytes_)) for bytes_ in free.values()] == list(free)


TURBO = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    ("name", "scheduler", "expected"),
    [
        ("me/base", TURBO | {"prediction_type": "epsilon"}, True),
        ("me/base", {"_class_name": "LCMScheduler"}, True),
        ("stabilityai/sdxl-turbo@main", {}, True),
        ("Tongyi-MAI/Z-Image-Turbo", {}, True),
        ("black-forest-labs/FLUX.1-schnell", {}, True),
        ("ByteDance/SDXL-Lightning", {}, True),
        ("me/base", TURBO | {"prediction_type": "v_prediction"}, False),
        ("me/base", TURBO | {"rescale_betas_zero_snr": True}, False),
        ("turbo-fans/base", {"_class_name": "PNDMScheduler"}, False),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", {"_class_name": "PNDMScheduler"}, False),
    ],
)
def test_distilled_base_is_recognized(
    tmp_path: Path, name: str, scheduler: dict[str, object], *, expected: bool
) -> None:
    file = tmp_path / "scheduler/scheduler_config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(scheduler))
    assert is_distilled(tmp_path, name) is expected
