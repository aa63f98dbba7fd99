"""Painting, compared with StableDiffusionPipeline and manual calculations."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    SchedulerMixin,
    UNet2DConditionModel,
)
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from covergen.core.cover import SCHEDULERS, PaintRequest, Sampling
from covergen.core.errors import Interrupted, ModelError, UsageError
from covergen.diffusion import sampler
from covergen.diffusion.painter import Painter
from covergen.diffusion.sampler import paint, paint_batches
from tests.painting import load, paint_all
from tests.plain_diffusion import (
    difference,
    embeddings,
    empty_prompt,
    merged_unet,
    pipeline_pictures,
)
from tests.tiny_base import make_tiny_adapter

DDIM = Sampling(steps=4, guidance=7.5, scheduler="ddim")
WEAK = Sampling(steps=4, guidance=3.0, scheduler="ddim")
STYLES = ("ab", "a longer style", "")
TRAILING = {"timestep_spacing": "trailing"}
SCHEDULER_CLASSES: dict[str, tuple[type[SchedulerMixin], dict[str, object]]] = {
    "ddpm": (DDPMScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, TRAILING),
    "dpm++sde": (
        DPMSolverMultistepScheduler,
        {**TRAILING, "algorithm_type": "sde-dpmsolver++"},
    ),
    "euler": (EulerDiscreteScheduler, TRAILING),
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A base and an adapter, loaded by covergen and by plain libraries."""

    base: Path
    adapter: Path
    painter: Painter
    plain_unet: UNet2DConditionModel


def make_case(base: Path, folder: Path, tokens: int) -> Case:
    adapter = make_tiny_adapter(folder / "adapter.safetensors", base, tokens=tokens)
    return Case(
        base=base,
        adapter=adapter,
        painter=load(base, adapter),
        plain_unet=merged_unet(base, adapter),
    )


@pytest.fixture(scope="module")
def sd1_case(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(sd1, tmp_path_factory.mktemp("sd1"), tokens=7)


@pytest.fixture(scope="module")
def sd2_case(sd2: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(sd2, tmp_path_factory.mktemp("sd2"), tokens=8)


@pytest.fixture
def painter(sd1_case: Case) -> Painter:
    """A shared painter; must not be changed."""
    return sd1_case.painter


def requests(count: int) -> list[PaintRequest]:
    return [PaintRequest(vector=v, seed=100 + i) for i, v in enumerate(embeddings(count))]


def mean_difference(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    return float(np.abs(left.astype(float) - right).mean())


def tokens_by_hand(adapter: Path, vectors: Sequence[NDArray[np.float32]]) -> Tensor:
    """(B, N, 32): Linear, reshape, LayerNorm."""
    file = load_file(adapter)
    weight, bias = file["audio_projection.weight"], file["audio_projection.bias"]
    flat = functional.linear(torch.tensor(np.stack(vectors)), weight, bias)
    norm = file["audio_projection.norm.weight"], file["audio_projection.norm.bias"]
    return functional.layer_norm(flat.reshape(len(vectors), -1, 32), (32,), *norm)


@pytest.mark.parametrize(
    ("name", "scheduler", "guidance"),
    [
        ("sd1_case", "ddpm", 7.5),
        ("sd1_case", "pndm", 7.5),
        ("sd2_case", "dpm++", 7.5),
        ("sd2_case", "dpm++sde", 7.5),
        ("sd2_case", "euler", 1.0),
    ],
)
def test_pictures_match_stable_diffusion_pipeline(
    name: str, scheduler: str, guidance: float, request: pytest.FixtureRequest
) -> None:
    case: Case = request.getfixturevalue(name)
    wanted = requests(3)
    conditional = tokens_by_hand(case.adapter, [r.vector for r in wanted])
    unconditional = empty_prompt(case.base, masked=False)
    repeats = unconditional.shape[1] // conditional.shape[1]
    scheduler_class, options = SCHEDULER_CLASSES[scheduler]
    expected = pipeline_pictures(
        case.base,
        case.plain_unet,
        scheduler_class.from_pretrained(case.base / "scheduler", **options),
        conditional=conditional.repeat(1, repeats, 1),
        unconditional=unconditional,
        seeds=[r.seed for r in wanted],
        steps=5,
        guidance=guidance,
    )
    sampling = Sampling(steps=5, guidance=guidance, scheduler=scheduler)
    pictures = paint_all(case.painter, wanted, sampling)
    assert pictures.shape[1:3] == case.painter.config.picture_size
    assert pictures.std() > 20  # not a uniform color
    assert difference(pictures, expected) <= 1


@torch.no_grad()
def paint_alone(case: Case, request: PaintRequest, conditional: Tensor) -> NDArray[np.float64]:
    """Paint one picture with 4 steps of DDIM, each branch of guidance with its own tokens."""
    scheduler = DDIMScheduler.from_pretrained(case.base / "scheduler")
    scheduler.set_timesteps(4)
    unconditional = empty_prompt(case.base, masked=False)
    noise = torch.Generator().manual_seed(request.seed)
    latents = torch.randn(1, 3, 12, 16, generator=noise)
    for t in scheduler.timesteps:
        uncond = case.plain_unet(latents, t, encoder_hidden_states=unconditional).sample
        cond = case.plain_unet(latents, t, encoder_hidden_states=conditional).sample
        latents = scheduler.step(uncond + 7.5 * (cond - uncond), t, latents).prev_sample
    decoded = AutoencoderKL.from_pretrained(case.base / "vae").decode(latents / 0.3).sample[0]
    return ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).double().numpy()


def test_unused_positions_of_the_prompt_are_masked(sd2: Path, tmp_path: Path) -> None:
    case = make_case(sd2, tmp_path, tokens=20)
    wanted = requests(2)
    pictures = paint_all(case.painter, wanted, DDIM)
    for picture, request in zip(pictures, wanted, strict=True):
        expected = paint_alone(case, request, tokens_by_hand(case.adapter, [request.vector]))
        assert difference(picture, expected) <= 1


def test_style_tokens_come_before_the_audio_tokens(sd2: Path, tmp_path: Path) -> None:
    case = make_case(sd2, tmp_path, tokens=3)
    tokenizer = CLIPTokenizer.from_pretrained(sd2 / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(sd2 / "text_encoder").eval()
    wanted = [dataclasses.replace(r, style=s) for r, s in zip(requests(3), STYLES, strict=True)]
    pictures = paint_all(load(sd2, case.adapter, styles=STYLES[:2]), wanted, DDIM)
    for picture, request in zip(pictures, wanted, strict=True):
        conditional = tokens_by_hand(case.adapter, [request.vector])
        if request.style:
            ids = tokenizer(request.style, return_tensors="pt").input_ids
            conditional = torch.cat([encoder(ids)[0].detach(), conditional], dim=1)
        assert difference(picture, paint_alone(case, request, conditional)) <= 1


def test_styles_do_not_affect_requests_without_one(sd2_case: Case) -> None:
    painter = load(sd2_case.base, sd2_case.adapter, styles=STYLES[:2])
    expected = paint_all(sd2_case.painter, requests(2), DDIM)
    assert np.array_equal(paint_all(painter, requests(2), DDIM), expected)
    with pytest.raises(UsageError, match="too long: it has 200 tokens"):
        load(sd2_case.base, sd2_case.adapter, styles=["a " * 200])


@pytest.mark.parametrize("scheduler", ["ddpm", "dpm++sde"])
def test_pictures_do_not_depend_on_their_batch(scheduler: str, painter: Painter) -> None:
    wanted = requests(6)
    sampling = Sampling(steps=3, guidance=7.5, scheduler=scheduler)
    alone = paint_all(painter, wanted, sampling, batch_size=1)
    together = paint_all(painter, wanted, sampling, batch_size=6)
    assert difference(paint_all(painter, wanted, sampling, batch_size=4), alone) <= 1
    assert difference(together, alone) <= 1
    # For the same batch size, pictures are bit-identical.
    reordered = [*wanted[:1], *wanted[:0:-1]]
    pictures = paint_all(painter, reordered, sampling, batch_size=6)
    assert np.array_equal(pictures[0], together[0])
    assert np.array_equal(pictures[:0:-1], together[1:])


def test_pictures_depend_on_embedding_and_seed(painter: Painter) -> None:
    first, second = embeddings(2)
    wanted = [
        PaintRequest(vector=first, seed=1),
        PaintRequest(vector=second, seed=1),
        PaintRequest(vector=first, seed=2),
        PaintRequest(vector=first, seed=2**64 - 1),
    ]
    pictures = paint_all(painter, wanted, DDIM)
    for one in range(4):
        for other in range(one):
            assert mean_difference(pictures[one], pictures[other]) > 5


def test_requests_are_read_one_batch_at_a_time(painter: Painter) -> None:
    taken = 0

    def counted() -> Iterator[PaintRequest]:
        nonlocal taken
        for wanted in requests(5):
            taken += 1
            yield wanted

    pictures = paint(painter, counted(), DDIM, batch_size=2, check_interrupted=lambda: None)
    assert taken == 0
    assert [taken for _ in pictures] == [2, 2, 4, 4, 5]
    assert list(paint(painter, [], DDIM, batch_size=2, check_interrupted=lambda: None)) == []


def watch(
    painter: Painter, before: Callable[[int], None] = lambda _: None
) -> tuple[Painter, list[int]]:
    """The same painter, and the batch size of each call of its UNet."""
    sizes: list[int] = []

    def unet(inputs: Tensor, *arguments: object, **options: object) -> tuple[Tensor]:
        sizes.append(len(inputs))
        before(len(inputs))
        return painter.unet(inputs, *arguments, **options)

    return dataclasses.replace(painter, unet=unet), sizes


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, [4, 4, 4, 4, 4]),
        ({"guidance": 1.0}, [2, 2, 2, 2, 2]),
        ({"guidance": 0.0}, [2, 2, 2, 2, 2]),
        ({"guided_from": 0.2, "guided_until": 0.6}, [2, 4, 4, 2, 2]),
        ({"guided_from": 1.0}, [2, 2, 2, 2, 2]),
    ],
)
def test_the_unconditional_branch_runs_only_in_guided_steps(
    options: dict[str, float], sizes: list[int], painter: Painter
) -> None:
    watched, seen = watch(painter)
    sampling = dataclasses.replace(DDIM, steps=5, **options)
    pictures = paint_all(watched, requests(2), sampling)
    assert seen == sizes
    unguided = paint_all(painter, requests(2), dataclasses.replace(DDIM, steps=5, guidance=1.0))
    assert np.array_equal(pictures, unguided) == (max(sizes) == 2)


def test_reusing_features_changes_pictures_little(painter: Painter) -> None:
    sampling = Sampling(steps=10, guidance=2.0, scheduler="dpm++")
    reusing = dataclasses.replace(sampling, reuse=2, guided_until=0.5)
    full_passes = 0

    def count(*_: object) -> None:
        nonlocal full_passes
        full_passes += 1

    hook = painter.unet.mid_block.register_forward_hook(count)
    pictures = paint_all(painter, requests(2), reusing)
    hook.remove()
    assert full_passes == 5
    expected = paint_all(painter, requests(2), sampling)
    for picture, other in zip(pictures, expected, strict=True):
        assert 0 < mean_difference(picture, other) < mean_difference(*expected) / 2


def fill_gpu(size: int) -> None:
    if size > 4:
        raise torch.OutOfMemoryError("CUDA out of memory.")


def fill_cpu(size: int) -> None:
    if size > 4:
        torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize("before", [fill_gpu, fill_cpu])
def test_out_of_memory_halves_the_batch(before: Callable[[int], None], painter: Painter) -> None:
    wanted = requests(7)
    watched, sizes = watch(painter, before)
    pictures = paint_all(watched, wanted, DDIM, batch_size=5)
    expected = paint_all(painter, wanted, DDIM, batch_size=2)
    assert np.array_equal(pictures[:4], expected[:4])
    assert difference(pictures, expected) <= 1
    # Guidance doubles sizes: 5 pictures fail, then come 2, 2, 1 of that batch, and the other 2.
    assert sizes == [10, *[4] * 4, *[4] * 4, *[2] * 4, *[4] * 4]


def test_out_of_memory_with_one_picture_is_an_error(painter: Painter) -> None:
    def fail(_: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    watched, sizes = watch(painter, fail)
    with pytest.raises(ModelError, match="not even one picture fits") as caught:
        paint_all(watched, requests(3), DDIM, batch_size=3)
    assert sizes == [6, 2]
    assert "--dtype" in caught.value.hint


def test_checkpoint_interrupts_between_steps(painter: Painter) -> None:
    watched, sizes = watch(painter)

    def stop_at_third() -> None:
        if len(sizes) == 2:
            raise Interrupted

    pictures = paint(watched, requests(2), DDIM, batch_size=2, check_interrupted=stop_at_third)
    with pytest.raises(Interrupted):
        next(pictures)
    assert sizes == [4, 4]


def test_progress_is_reported_after_each_step(painter: Painter) -> None:
    progress: list[tuple[int, float]] = []
    watched, _ = watch(painter, fill_gpu)
    batches = paint_batches(
        watched,
        requests(3),
        DDIM,
        batch_size=3,
        check_interrupted=lambda: None,
        on_step=lambda pictures, share: progress.append((pictures, share)),
    )
    assert len(list(batches)) == 3
    steps = [0.2, 0.4, 0.6, 0.8]  # decoding is the last fifth
    assert progress == [(1, share) for share in steps * 3], "the batch that failed had no step"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_changes_pictures_little(dtype: torch.dtype, sd1_case: Case) -> None:
    half = load(sd1_case.base, sd1_case.adapter, dtype=dtype)
    assert half.unet.dtype == dtype
    expected = paint_all(sd1_case.painter, requests(2), WEAK)
    assert mean_difference(paint_all(half, requests(2), WEAK), expected) < 8


def copy_base(base: Path, folder: Path, **vae_settings: object) -> Path:
    config = copytree(base, folder) / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **vae_settings}))
    return folder


@pytest.mark.parametrize(("known", "at_once"), [(True, 1), (False, 1), (False, 4)])
def test_a_vae_that_overflows_in_fp16_decodes_in_fp32(
    known: bool, at_once: int, sd1_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The overflow is known from the config, or detected; a GPU decodes several at once."""
    monkeypatch.setattr(sampler, "_decoded_at_once", lambda _: at_once)
    base = copy_base(sd1_case.base, tmp_path / "base", force_upcast=known)
    exact, half = (load(base, sd1_case.adapter, dtype=d) for d in (torch.float32, torch.float16))
    dtype = torch.float32 if known else torch.float16
    assert half.vae.dtype == dtype
    with torch.no_grad():
        for painter in (exact, half):
            painter.vae.decoder.conv_in.weight.mul_(1e5)  # undone by the GroupNorm after it
    expected, pictures = (paint_all(painter, requests(2), WEAK) for painter in (exact, half))
    assert half.vae.dtype == dtype
    assert expected.std() > 20
    assert mean_difference(pictures, expected) < 8


def test_a_vae_that_asks_for_a_margin_decodes_more_than_the_picture(
    sd1_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = load(copy_base(sd1_case.base, tmp_path / "base", decoding_margin=1), sd1_case.adapter)
    latents, decoded = [], []
    decode = wide.vae.decode

    def watched(inputs: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        (output,) = decode(inputs, return_dict=return_dict)
        latents.append(inputs)
        decoded.append(output)
        return (output,)

    monkeypatch.setattr(wide.vae, "decode", watched)
    (picture,) = paint_all(wide, requests(1), WEAK)
    (plain,) = paint_all(load(sd1_case.base, sd1_case.adapter), requests(1), WEAK)
    assert picture.shape == plain.shape
    inner = latents[0][..., 1:-1, 1:-1]
    assert torch.equal(latents[0], functional.pad(inner, (1, 1, 1, 1), mode="replicate"))
    factor = len(picture) // inner.shape[-1]
    expected = decoded[0][0, :, factor:-factor, factor:-factor].permute(1, 2, 0)
    levels = ((expected / 2 + 0.5).clamp(0, 1) * 255).round().numpy()
    assert np.array_equal(picture, levels)


def test_pictures_decoded_together_are_those_decoded_alone(
    painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = paint_all(painter, requests(6), WEAK)
    monkeypatch.setattr(sampler, "_decoded_at_once", lambda _: 4)
    assert difference(paint_all(painter, requests(6), WEAK), alone) <= 1


def test_output_that_is_not_finite_is_an_error(sd1_case: Case) -> None:
    painter = load(sd1_case.base, sd1_case.adapter)
    with torch.no_grad():
        painter.unet.conv_out.bias.fill_(torch.nan)
    with pytest.raises(ModelError, match="NaN or infinite"):
        paint_all(painter, requests(1), DDIM)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_single_step_is_possible(scheduler: str, painter: Painter) -> None:
    pictures = paint_all(painter, requests(1), Sampling(steps=1, guidance=2.0, scheduler=scheduler))
    assert pictures.shape == (1, 64, 64, 3)


def test_other_runtime_errors_are_not_caught(painter: Painter) -> None:
    wrong = PaintRequest(vector=np.zeros(3, np.float32), seed=0)
    with pytest.raises(RuntimeError, match="shape"):
        paint_all(painter, [wrong], DDIM)
