"""Benchmark painting; the reference uses diffusers' pipeline, one picture at a time."""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    SchedulerMixin,
    StableDiffusionPipeline,
)
from torch import nn
from torch.nn import functional

from covergen.cli.output.lines import sampling_text
from covergen.core.cover import PaintRequest, Sampling
from covergen.diffusion.painter import Painter, load_painter
from covergen.diffusion.sampler import guides
from covergen.diffusion.sampler import paint as paint_requests
from covergen.finish.finishes import apply_finish
from covergen.models.presets import find_preset, load_presets
from tests.benchmarks.models import base_and_adapter
from tests.benchmarks.race import Figure, Missing, Race, Result, Row, Setting
from tests.plain_diffusion import difference, embeddings, empty_prompt, unmerged_unet

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["paint"]

_SAME_WORK = Sampling(steps=20, guidance=3.0, scheduler="dpm++")
_DEFAULTS = (50, 7.5, DDPMScheduler)  # art-from-audio's generate_artwork.py
_UNET_FLOP, _DECODER_FLOP = 0.803e12, 2.514e12  # Stable Diffusion 1.5, per picture
_NO_PICTURE = torch.zeros(1, 3, 8, 8)


def paint(setting: Setting) -> Generator[Row, Result]:
    """Compare the same settings, and the defaults of both."""
    if setting.device == "cuda" and not torch.cuda.is_available():
        for name in ("same work", "default settings", "share of peak"):
            yield Missing(name=f"paint, {name}, CUDA", reason="no CUDA device here")
        return
    sides = _load(setting)
    if setting.size == "sd15" and setting.device == "cpu":
        yield from _by_the_step(sides)
        return
    yield from _whole_covers(sides)
    if setting.size == "sd15":
        yield _share_of_peak(sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Both implementations, loaded."""

    painter: Painter
    projection: nn.Module
    pipeline: StableDiffusionPipeline
    base: Path
    unconditional: Tensor
    default: Sampling

    def covergen(self, count: int, sampling: Sampling, **parts: Any) -> NDArray[np.uint8]:
        """Paint with covergen: (count, H, W, 3) uint8."""
        vectors = embeddings(count)
        requests = [PaintRequest(vector=v, seed=seed) for seed, v in enumerate(vectors)]
        painter = replace(self.painter, **parts)
        pictures = paint_requests(
            painter, requests, sampling, batch_size=None, check_interrupted=_no_interrupt
        )
        return np.stack(list(pictures))

    def finished(self, count: int) -> list[NDArray[np.uint8]]:
        """Paint with the default settings and finish."""
        pictures = self.covergen(count, self.default)
        return [apply_finish(picture, self.default, None) for picture in pictures]

    def reference(
        self,
        count: int,
        steps: int,
        guidance: float,
        scheduler: type[SchedulerMixin],
        **options: Any,
    ) -> Sequence[Any]:
        """Paint with the pipeline, one picture at a time; `options` are passed to it."""
        config = {} if scheduler is DDPMScheduler else {"timestep_spacing": "trailing"}
        self.pipeline.scheduler = scheduler.from_pretrained(self.base / "scheduler", **config)
        length = self.unconditional.shape[1]
        pictures = []
        for seed, vector in enumerate(embeddings(count)):
            with torch.no_grad():
                tokens = self.projection(torch.from_numpy(vector)[None].to(self.painter.device))
            pictures += self.pipeline(
                prompt_embeds=tokens.repeat(1, length // tokens.shape[1], 1),
                negative_prompt_embeds=self.unconditional,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator().manual_seed(seed),
                **options,
            ).images
        return pictures

    @torch.no_grad()
    def decode(self, latents: Tensor) -> object:
        """Decode latents to Pillow images like the pipeline."""
        vae = self.pipeline.vae
        pixels = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        return self.pipeline.image_processor.postprocess(pixels, output_type="pil")


def _whole_covers(sides: _Sides) -> Generator[Row, Result]:
    """Measure whole covers, from embeddings to pixels."""
    count = 8 if sides.painter.device.type == "cpu" else 64
    pictures: dict[str, NDArray[np.uint8]] = {}
    counts: dict[str, object] = {}

    def ours() -> None:
        pictures["ours"] = sides.covergen(count, _SAME_WORK)

    def theirs() -> None:
        images = sides.reference(
            count, _SAME_WORK.steps, _SAME_WORK.guidance, DPMSolverMultistepScheduler
        )
        expected = np.stack([np.asarray(image) for image in images])
        counts["largest difference of the pictures (levels of 255)"] = difference(
            pictures["ours"], expected
        )

    yield Race(
        name=f"paint, same work: {count} covers of {_SAME_WORK.steps} steps",
        covergen=ours,
        reference=theirs,
        unit="covers",
        units=count,
        at_least=_goal(sides, cpu=1.5, cuda=2.5),
        rounds=3,
        counts=counts,
    )
    without = replace(sides.default, finish="none")
    for sampling, paint_ours in (
        (without, lambda: sides.covergen(count, without)),
        (sides.default, lambda: sides.finished(count)),
    ):
        yield Race(
            name=f"paint, default settings: {_text(sampling)}; DDPM, 50 steps",
            covergen=paint_ours,
            reference=lambda: sides.reference(1, *_DEFAULTS),
            unit="covers",
            units=count,
            reference_units=1,
            at_least=_goal(sides, cpu=5, cuda=10),
            rounds=3,
            warm_up=False,
        )


def _by_the_step(sides: _Sides) -> Generator[Row, Result]:
    """Measure steps and decoding separately, since whole covers would take hours."""
    two = replace(_SAME_WORK, steps=2, guidance=_DEFAULTS[1])
    no_decoder = SimpleNamespace(
        config={}, dtype=torch.float32, decode=lambda *_, **__: (_NO_PICTURE,)
    )
    step = yield Race(
        name="paint, guided step, batch of 1",
        covergen=lambda: sides.covergen(1, two, vae=no_decoder),
        reference=lambda: sides.reference(
            1, 2, two.guidance, DPMSolverMultistepScheduler, output_type="latent"
        ),
        unit="steps",
        units=2,
        rounds=2,
        warm_up=False,
    )
    latents = torch.randn(1, 4, 64, 64)
    decoded = yield Race(
        name="paint, decoding",
        covergen=lambda: sides.covergen(1, replace(two, steps=1), unet=_no_unet),
        reference=lambda: sides.decode(latents),
        unit="covers",
        rounds=2,
        warm_up=False,
    )
    reusing = yield Race(
        name="paint, one full and one shallow step, compared with two full steps",
        covergen=lambda: sides.covergen(1, replace(two, reuse=2), vae=no_decoder),
        reference=lambda: sides.covergen(1, two, vae=no_decoder),
        unit="steps",
        units=2,
        rounds=2,
        warm_up=False,
    )
    yield from _sums(sides.default, step, decoded, reusing)


def _sums(default: Sampling, step: Result, decoded: Result, reusing: Result) -> Iterator[Figure]:
    """Estimate the time of whole covers from that of steps and decoding."""

    def ours(sampling: Sampling, clock: str) -> float:
        full = _median(step, "covergen", clock) / 2
        shallow = _median(reusing, "covergen", clock) - _median(reusing, "reference", clock) / 2
        steps = (
            (shallow if number % sampling.reuse else full)
            * (1 if guides(sampling, number / sampling.steps) else 0.5)
            for number in range(sampling.steps)
        )
        return sum(steps) + _median(decoded, "covergen", clock)

    def theirs(steps: int, clock: str) -> float:
        each = _median(step, "reference", clock) / 2
        return steps * each + _median(decoded, "reference", clock)

    def ratio(sampling: Sampling, steps: int, clock: str) -> float:
        return theirs(steps, clock) / ours(sampling, clock)

    for name, sampling, steps, goal in (
        (f"same work: {_SAME_WORK.steps} steps", _SAME_WORK, _SAME_WORK.steps, 1.15),
        (f"default settings: {_text(default)}; DDPM, 50 steps", default, 50, 5),
    ):
        yield Figure(
            name=f"paint, {name}, estimated",
            value=ratio(sampling, steps, "seconds"),
            unit="×",
            at_least=goal,
            counts={"by processor time": round(ratio(sampling, steps, "processor_seconds"), 2)},
        )


def _share_of_peak(sides: _Sides) -> Figure:
    """The arithmetic rate of painting, relative to that of matrix products."""
    square, repeats, count = 8192, 50, 64
    matrix = torch.randn(square, square, device="cuda", dtype=torch.bfloat16)
    peak = repeats * 2 * square**3 / _seconds(lambda: [matrix @ matrix for _ in range(repeats)])
    sampling = replace(_SAME_WORK, guidance=_DEFAULTS[1])
    work = count * (2 * sampling.steps * _UNET_FLOP + _DECODER_FLOP)
    reached = work / _seconds(lambda: sides.covergen(count, sampling))
    return Figure(
        name="paint, CUDA share of peak",
        value=100 * reached / peak,
        unit="%",
        at_least=45,
        counts={"TFLOP/s of matrices": round(peak / 1e12), "of painting": round(reached / 1e12)},
    )


def _load(setting: Setting) -> _Sides:
    base, adapter = base_and_adapter(setting)
    device = torch.device(setting.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    painter = load_painter(base, adapter, d_audio=512, device=device, dtype=dtype)
    assert painter.adapter
    assert painter.projection
    diffusers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about configs that the pipeline corrects
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL.from_pretrained(base / "vae"),
            text_encoder=None,
            tokenizer=None,
            unet=unmerged_unet(base, adapter, rank=painter.adapter.rank),
            scheduler=DDPMScheduler.from_pretrained(base / "scheduler"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).to(device, dtype)
    pipeline.set_progress_bar_config(disable=True)
    _decode_with_margin(pipeline.vae)
    return _Sides(
        painter=painter,
        projection=painter.projection,
        pipeline=pipeline,
        base=base,
        unconditional=empty_prompt(base, masked=False).to(device),
        default=find_preset(setting.size, load_presets()).sampling,
    )


def _text(sampling: Sampling) -> str:
    return sampling_text(sampling, procedural=False)


def _decode_with_margin(vae: AutoencoderKL) -> None:
    """Have a VAE decode with the margin that its config asks for, which diffusers does not know."""
    decode, margin = vae.decode, vae.config.get("decoding_margin", 0)
    cut = margin * 2 ** (len(vae.config["block_out_channels"]) - 1)

    def decode_padded(latents: Tensor, **options: Any) -> tuple[Tensor]:
        pixels = decode(functional.pad(latents, (margin,) * 4, mode="replicate"), **options)[0]
        return (pixels[..., cut : pixels.shape[-2] - cut, cut : pixels.shape[-1] - cut],)

    vae.decode = decode_padded


def _no_interrupt() -> None:
    """Do nothing; benchmarks are not interrupted."""


def _goal(sides: _Sides, *, cpu: float, cuda: float) -> float:
    return cuda if sides.painter.device.type == "cuda" else cpu


def _no_unet(inputs: Tensor, *_: object, **__: object) -> tuple[Tensor]:
    return (torch.zeros_like(inputs),)


def _median(result: Result, side: str, clock: str) -> float:
    return float(statistics.median(result.values[clock][side]))


def _seconds(call: Callable[[], object]) -> float:
    """Time a call on a GPU, after a warm-up."""
    call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start
