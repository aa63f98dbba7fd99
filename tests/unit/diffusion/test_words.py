"""Prompts without an adapter, and negative prompts, compared with StableDiffusionPipeline."""

import warnings
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.nn import functional

from covergen.core.cover import PaintRequest, Sampling
from covergen.core.errors import UsageError
from tests.painting import load, paint_all
from tests.plain_diffusion import difference, embeddings, merged_unet, pipeline_pictures
from tests.tiny_base import make_tiny_adapter

CPU = torch.device("cpu")


def test_prompts_and_negatives_paint_what_the_pipeline_paints(sd2: Path) -> None:
    """Without an adapter, pictures are those of StableDiffusionPipeline for the same prompts."""
    pipeline = text_pipeline(sd2)
    prompts, seeds = ["blue, few", "warm and vivid"], [5, 6]
    expected = [
        np.asarray(
            pipeline(
                prompt,
                negative_prompt="dim",
                num_inference_steps=4,
                guidance_scale=7.5,
                generator=torch.Generator().manual_seed(seed),
                output_type="np",
            ).images[0]
        )
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    painter = load(sd2, None, negative="dim")
    wanted = [
        PaintRequest(vector=v, seed=s, prompt=p)
        for v, s, p in zip(embeddings(2), seeds, prompts, strict=True)
    ]
    sampling = Sampling(steps=4, guidance=7.5, scheduler="ddim")
    pictures = paint_all(painter, wanted, sampling)
    rounded = [(255 * picture).round().astype(np.uint8) for picture in expected]
    assert difference(pictures, np.stack(rounded)) <= 1
    assert difference(rounded[0], rounded[1]) > 5


def text_pipeline(base: Path) -> StableDiffusionPipeline:
    diffusers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
        pipeline.scheduler = DDIMScheduler.from_config(
            pipeline.scheduler.config, clip_sample=False, steps_offset=1
        )
        pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_prompt_that_is_too_long_is_cut_off_but_a_style_is_refused(sd2: Path) -> None:
    """A style is checked before painting; the words after it are then never worth a failed run."""
    with pytest.raises(UsageError, match="too long: it has 200 tokens"):
        load(sd2, None, styles=["a " * 200])
    painter = load(sd2, None)
    sampling = Sampling(steps=2, guidance=3.0, scheduler="ddim")
    pictures = [
        paint_all(painter, [PaintRequest(vector=embeddings(1)[0], seed=1, prompt=prompt)], sampling)
        for prompt in ("a " * 14, "a " * 200)
    ]
    assert np.array_equal(*pictures)


def test_negative_prompt_takes_the_place_of_the_empty_one(sd1: Path, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "adapter.safetensors", sd1)

    def pictures(**options: str) -> NDArray[np.uint8]:
        painter = load(sd1, adapter, **options)
        wanted = [PaintRequest(vector=embeddings(1)[0], seed=1)]
        sampling = Sampling(steps=3, guidance=7.5, scheduler="ddim")
        return paint_all(painter, wanted, sampling)

    plain = pictures()
    assert np.array_equal(plain, pictures(negative=""))
    negative = pictures(negative="text and letters")
    tokens = projected(adapter, embeddings(1))
    expected = pipeline_pictures(
        sd1,
        merged_unet(sd1, adapter),
        DDIMScheduler.from_pretrained(sd1 / "scheduler", clip_sample=False),
        conditional=tokens.repeat(1, 11, 1),
        unconditional=text_pipeline(sd1).encode_prompt(
            "text and letters", CPU, 1, do_classifier_free_guidance=False
        )[0],
        seeds=[1],
        steps=3,
        guidance=7.5,
    )
    assert difference(negative, expected) <= 1
    assert difference(negative, plain) > 5


def projected(adapter: Path, vectors: list[NDArray[np.float32]]) -> torch.Tensor:
    """(B, 7, 32): Linear, reshape, LayerNorm."""
    file = load_file(adapter)
    weight, bias = file["audio_projection.weight"], file["audio_projection.bias"]
    tokens = functional.linear(torch.tensor(np.stack(vectors)), weight, bias).view(-1, 7, 32)
    norm = file["audio_projection.norm.weight"], file["audio_projection.norm.bias"]
    return functional.layer_norm(tokens, (32,), *norm)
