"""What `paint` promises, held to StableDiffusionPipeline and to arithmetic by hand."""

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
    PNDMScheduler,
    SchedulerMixin,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from covergen.core.errors import Interrupted, ModelError, UsageError
from covergen.core.types import SCHEDULERS, PaintRequest, Sampling
from covergen.diffusion.painter import Painter, load_painter
from covergen.diffusion.sampler import paint, paint_batches
from tests.plain_diffusion import (
    difference,
    embeddings,
    empty_prompt,
    merged_unet,
    pipeline_pictures,
)
from tests.tiny_base import make_tiny_adapter

CPU = torch.device("cpu")
DDIM = Sampling(steps=4, guidance=7.5, scheduler="ddim")
PIPELINE_SCHEDULERS: dict[str, tuple[type[SchedulerMixin], dict[str, object]]] = {
    "ddim": (DDIMScheduler, {}),
    "ddpm": (DDPMScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, {"timestep_spacing": "trailing"}),
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),
    "unipc": (UniPCMultistepScheduler, {"timestep_spacing": "trailing"}),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A base and an adapter, as covergen loads them and as plain libraries do."""

    base: Path
    adapter: Path
    painter: Painter
    plain_unet: UNet2DConditionModel


def load(base: Path, folder: Path, *, dtype: torch.dtype = torch.float32) -> Painter:
    adapter = make_tiny_adapter(folder / "adapter.safetensors", base)
    return load_painter(base, adapter, d_audio=512, device=CPU, dtype=dtype)


def make_case(base: Path, folder: Path, tokens: int) -> Case:
    adapter = make_tiny_adapter(folder / "adapter.safetensors", base, tokens=tokens)
    return Case(
        base=base,
        adapter=adapter,
        painter=load_painter(base, adapter, d_audio=512, device=CPU, dtype=torch.float32),
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
    """One to use, but not to change."""
    return sd1_case.painter


def requests(count: int) -> list[PaintRequest]:
    return [PaintRequest(vector=v, seed=100 + i) for i, v in enumerate(embeddings(count))]


def paint_all(
    painter: Painter,
    wanted: Sequence[PaintRequest],
    sampling: Sampling = DDIM,
    batch_size: int | None = None,
) -> NDArray[np.uint8]:
    pictures = paint(painter, wanted, sampling, batch_size=batch_size, checkpoint=lambda: None)
    return np.stack(list(pictures))


def tokens_by_hand(adapter: Path, vectors: Sequence[NDArray[np.float32]], width: int) -> Tensor:
    """(B, N, d): Linear, reshape, LayerNorm."""
    file = load_file(adapter)
    flat = functional.linear(
        torch.tensor(np.stack(vectors)),
        file["audio_projection.weight"],
        file["audio_projection.bias"],
    )
    return functional.layer_norm(
        flat.reshape(len(vectors), -1, width),
        (width,),
        file["audio_projection.norm.weight"],
        file["audio_projection.norm.bias"],
    )


@pytest.mark.parametrize("guidance", [7.5, 1.0])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(("name", "repeats"), [("sd1_case", 11), ("sd2_case", 2)])
def test_equal_to_stable_diffusion_pipeline(
    name: str, repeats: int, scheduler: str, guidance: float, request: pytest.FixtureRequest
) -> None:
    case: Case = request.getfixturevalue(name)
    wanted = requests(3)
    conditional = tokens_by_hand(case.adapter, [r.vector for r in wanted], width=32)
    scheduler_class, options = PIPELINE_SCHEDULERS[scheduler]
    expected = pipeline_pictures(
        case.base,
        case.plain_unet,
        scheduler_class.from_pretrained(case.base / "scheduler", **options),
        conditional=conditional.repeat(1, repeats, 1),
        unconditional=empty_prompt(case.base, masked=False),
        seeds=[r.seed for r in wanted],
        steps=5,
        guidance=guidance,
    )
    sampling = Sampling(steps=5, guidance=guidance, scheduler=scheduler)
    pictures = paint_all(case.painter, wanted, sampling)
    assert pictures.shape[1:3] == case.painter.config.picture_size
    assert pictures.std() > 20  # there is something to see
    assert difference(pictures, expected) <= 1


@pytest.mark.parametrize("tokens", [5, 20])
def test_tokens_that_do_not_divide_the_prompt_are_masked(
    tokens: int, sd2: Path, tmp_path: Path
) -> None:
    """Held to the two branches computed apart, each with its own number of tokens."""
    case = make_case(sd2, tmp_path, tokens)
    wanted, unet = requests(2), case.plain_unet
    scheduler = DDIMScheduler.from_pretrained(sd2 / "scheduler")
    scheduler.set_timesteps(4)
    conditional = tokens_by_hand(case.adapter, [r.vector for r in wanted], width=32)
    unconditional = empty_prompt(sd2, masked=False).repeat(2, 1, 1)
    latents = torch.stack(
        [torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(r.seed)) for r in wanted]
    )
    vae = AutoencoderKL.from_pretrained(sd2 / "vae")
    with torch.no_grad():
        for t in scheduler.timesteps:
            uncond = unet(latents, t, encoder_hidden_states=unconditional).sample
            cond = unet(latents, t, encoder_hidden_states=conditional).sample
            latents = scheduler.step(uncond + 7.5 * (cond - uncond), t, latents).prev_sample
        decoded = vae.decode(latents / 0.3).sample
    expected = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().permute(0, 2, 3, 1)
    assert difference(paint_all(case.painter, wanted), expected) <= 1


STYLES = ("ab", "a longer style", "")


def style_tokens(base: Path, style: str) -> Tensor:
    """(1, T, d): what the text encoder makes of a style, from start to end token."""
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(base / "text_encoder").eval()
    with torch.no_grad():
        return encoder(tokenizer(style, return_tensors="pt").input_ids)[0]


def test_a_style_comes_before_the_music_in_one_sequence(sd2: Path, tmp_path: Path) -> None:
    """Held to each picture computed alone, its two branches apart, with nothing padded."""
    case = make_case(sd2, tmp_path, tokens=3)
    painter = load_painter(
        sd2, case.adapter, d_audio=512, device=CPU, dtype=torch.float32, styles=STYLES[:2]
    )
    wanted = [dataclasses.replace(r, style=s) for r, s in zip(requests(3), STYLES, strict=True)]
    pictures = paint_all(painter, wanted)
    vae = AutoencoderKL.from_pretrained(sd2 / "vae")
    unconditional = empty_prompt(sd2, masked=False)
    for picture, request in zip(pictures, wanted, strict=True):
        scheduler = DDIMScheduler.from_pretrained(sd2 / "scheduler")
        scheduler.set_timesteps(4)
        conditional = tokens_by_hand(case.adapter, [request.vector], width=32)
        if request.style:
            conditional = torch.cat([style_tokens(sd2, request.style), conditional], dim=1)
        noise = torch.Generator().manual_seed(request.seed)
        latents = torch.randn(1, 3, 12, 16, generator=noise)
        with torch.no_grad():
            for t in scheduler.timesteps:
                uncond = case.plain_unet(latents, t, encoder_hidden_states=unconditional).sample
                cond = case.plain_unet(latents, t, encoder_hidden_states=conditional).sample
                latents = scheduler.step(uncond + 7.5 * (cond - uncond), t, latents).prev_sample
            decoded = vae.decode(latents / 0.3).sample[0]
        expected = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0)
        assert difference(picture, expected) <= 1


def test_a_painter_that_knows_styles_paints_the_same_without_one(sd2: Path, tmp_path: Path) -> None:
    case = make_case(sd2, tmp_path, tokens=8)
    painter = load_painter(
        sd2, case.adapter, d_audio=512, device=CPU, dtype=torch.float32, styles=STYLES[:2]
    )
    assert np.array_equal(paint_all(painter, requests(2)), paint_all(case.painter, requests(2)))


def test_a_style_that_is_too_long_is_refused(sd2: Path, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "adapter.safetensors", sd2)
    with pytest.raises(UsageError, match="too long: it has 200 tokens"):
        load_painter(
            sd2, adapter, d_audio=512, device=CPU, dtype=torch.float32, styles=["a " * 200]
        )


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm", "dpm++"])
def test_a_picture_does_not_depend_on_its_batch(scheduler: str, painter: Painter) -> None:
    wanted = requests(8)
    sampling = Sampling(steps=4, guidance=7.5, scheduler=scheduler)
    alone = paint_all(painter, wanted, sampling, batch_size=1)
    assert difference(paint_all(painter, wanted, sampling, batch_size=3), alone) <= 1
    together = paint_all(painter, wanted, sampling, batch_size=8)
    assert difference(together, alone) <= 1
    # With equal shapes it is the same to the last bit, whatever else is in the batch.
    reversed_order = paint_all(painter, wanted[::-1], sampling, batch_size=8)[::-1]
    assert np.array_equal(reversed_order, together)
    other_company = paint_all(painter, [*wanted[:1], *wanted[:0:-1]], sampling, batch_size=8)
    assert np.array_equal(other_company[0], together[0])


def test_condition_and_seed_both_matter(painter: Painter) -> None:
    first, second = embeddings(2)
    wanted = [
        PaintRequest(vector=first, seed=1),
        PaintRequest(vector=second, seed=1),
        PaintRequest(vector=first, seed=2),
        PaintRequest(vector=first, seed=2**64 - 1),
    ]
    pictures = paint_all(painter, wanted).astype(float)
    for one in range(4):
        for other in range(one):
            assert np.abs(pictures[one] - pictures[other]).mean() > 5


def test_requests_are_taken_one_batch_at_a_time(painter: Painter) -> None:
    taken = 0

    def counted() -> Iterator[PaintRequest]:
        nonlocal taken
        for wanted in requests(5):
            taken += 1
            yield wanted

    pictures = paint(painter, counted(), DDIM, batch_size=2, checkpoint=lambda: None)
    assert taken == 0
    assert [taken for _ in pictures] == [2, 2, 4, 4, 5]
    assert list(paint(painter, [], DDIM, batch_size=2, checkpoint=lambda: None)) == []


def watch(
    painter: Painter, before: Callable[[int], None] = lambda _: None
) -> tuple[Painter, list[int]]:
    """The same painter, and the number of inputs of each call of its UNet, as they come."""
    seen: list[int] = []

    def unet(inputs: Tensor, *arguments: object, **options: object) -> tuple[Tensor]:
        seen.append(len(inputs))
        before(len(inputs))
        return painter.unet(inputs, *arguments, **options)

    return dataclasses.replace(painter, unet=unet), seen


@pytest.mark.parametrize(("guidance", "inputs"), [(7.5, 4), (1.0, 2), (0.0, 2)])
def test_without_guidance_one_branch_runs(guidance: float, inputs: int, painter: Painter) -> None:
    watched, batches = watch(painter)
    paint_all(watched, requests(2), Sampling(steps=3, guidance=guidance, scheduler="ddim"))
    assert batches == [inputs] * 3


def test_guidance_in_an_interval_saves_the_other_half(painter: Painter) -> None:
    watched, batches = watch(painter)
    sampling = dataclasses.replace(DDIM, steps=10, guided_from=0.2, guided_until=0.5)
    paint_all(watched, requests(2), sampling)
    assert batches == [2, 2, 4, 4, 4, 2, 2, 2, 2, 2]


def test_guidance_in_no_step_is_no_guidance(painter: Painter) -> None:
    never = dataclasses.replace(DDIM, guided_from=1.0)
    unguided = dataclasses.replace(DDIM, guidance=1.0)
    assert np.array_equal(
        paint_all(painter, requests(2), never), paint_all(painter, requests(2), unguided)
    )


def test_reused_features_paint_nearly_the_same(painter: Painter) -> None:
    sampling = Sampling(steps=10, guidance=2.0, scheduler="dpm++")
    reusing = dataclasses.replace(sampling, reuse=2, guided_until=0.5)
    whole_passes = 0

    def count(*_: object) -> None:
        nonlocal whole_passes
        whole_passes += 1

    hook = painter.unet.mid_block.register_forward_hook(count)
    pictures = paint_all(painter, requests(2), reusing)
    hook.remove()
    assert whole_passes == 5
    expected = paint_all(painter, requests(2), sampling)
    apart = np.abs(pictures.astype(float) - expected).mean(axis=(1, 2, 3))
    others = np.abs(expected[0].astype(float) - expected[1]).mean()
    assert (apart > 0).all()
    assert (apart < others / 2).all()


def exhausted(inputs: int) -> None:
    """As a GPU does when it is full."""
    if inputs > 4:
        raise torch.OutOfMemoryError("CUDA out of memory.")


def greedy(inputs: int) -> None:
    """Ask the CPU's allocator for more than any machine has."""
    if inputs > 4:
        torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize("before", [exhausted, greedy])
def test_out_of_memory_halves_the_batch(before: Callable[[int], None], painter: Painter) -> None:
    wanted = requests(7)
    watched, batches = watch(painter, before)
    pictures = paint_all(watched, wanted, batch_size=5)
    expected = paint_all(painter, wanted, batch_size=2)
    assert np.array_equal(pictures[:4], expected[:4])
    assert difference(pictures, expected) <= 1
    # Guidance doubles: 5 pictures fail, then 2, 2, 1 of the same batch, and 2 of what remains.
    assert batches == [10, *[4] * 4, *[4] * 4, *[2] * 4, *[4] * 4]


def test_out_of_memory_with_one_picture_is_an_error(painter: Painter) -> None:
    def always(_: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    watched, batches = watch(painter, always)
    with pytest.raises(ModelError, match="Not even one picture fits") as caught:
        paint_all(watched, requests(3), batch_size=3)
    assert batches == [6, 2]
    assert "--dtype" in caught.value.hint


def test_other_runtime_errors_are_bugs(painter: Painter) -> None:
    wrong = PaintRequest(vector=np.zeros(3, np.float32), seed=0)
    with pytest.raises(RuntimeError, match="shape"):
        paint_all(painter, [wrong])


def test_checkpoint_stops_between_steps(painter: Painter) -> None:
    watched, batches = watch(painter)

    def stop_at_third() -> None:
        if len(batches) == 2:
            raise Interrupted

    pictures = paint(watched, requests(2), DDIM, batch_size=2, checkpoint=stop_at_third)
    with pytest.raises(Interrupted):
        next(pictures)
    assert batches == [4, 4]


def test_each_step_is_told_with_the_share_of_the_work_that_is_done(painter: Painter) -> None:
    told: list[tuple[int, float]] = []
    watched, _ = watch(painter, exhausted)
    batches = paint_batches(
        watched,
        requests(3),
        DDIM,
        batch_size=3,
        checkpoint=lambda: None,
        on_step=lambda pictures, share: told.append((pictures, share)),
    )
    assert len(list(batches)) == 3
    steps = [0.2, 0.4, 0.6, 0.8]  # decoding is the last fifth
    assert told == [(1, share) for share in steps * 3], "what failed had made no step"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_paints_nearly_the_same(
    dtype: torch.dtype, painter: Painter, sd1: Path, tmp_path: Path
) -> None:
    half = load(sd1, tmp_path, dtype=dtype)
    sampling = Sampling(steps=4, guidance=3.0, scheduler="ddim")
    expected = paint_all(painter, requests(2), sampling).astype(float)
    assert half.unet.dtype == dtype
    assert np.abs(paint_all(half, requests(2), sampling) - expected).mean() < 8


@pytest.mark.parametrize("known", [True, False])
def test_a_vae_that_overflows_in_fp16_decodes_in_fp32(
    known: bool, sd1: Path, tmp_path: Path
) -> None:
    """Known from its config, or found out."""
    base = copytree(sd1, tmp_path / "base")
    config = base / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "force_upcast": known}))
    exact, half = load(base, tmp_path), load(base, tmp_path, dtype=torch.float16)
    assert half.vae.dtype == (torch.float32 if known else torch.float16)
    with torch.no_grad():
        for painter in (exact, half):
            painter.vae.decoder.conv_in.weight.mul_(1e5)  # the GroupNorm behind it takes it back
    sampling = Sampling(steps=4, guidance=3.0, scheduler="ddim")
    expected = paint_all(exact, requests(2), sampling).astype(float)
    pictures = paint_all(half, requests(2), sampling)
    assert half.vae.dtype == (torch.float32 if known else torch.float16)
    assert expected.std() > 20
    assert np.abs(pictures - expected).mean() < 8


def test_only_what_overflows_is_decoded_again(sd1: Path, tmp_path: Path) -> None:
    """The pictures beside it and after it are as they would be without it."""
    base = copytree(sd1, tmp_path / "base")
    config = base / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "force_upcast": False}))
    painter = load(base, tmp_path, dtype=torch.float16)
    sampling = Sampling(steps=2, guidance=3.0, scheduler="ddim")
    expected = paint_all(painter, requests(3), sampling)
    decoded: list[torch.dtype] = []

    def overflow(_module: object, _inputs: object, pixels: Tensor) -> Tensor:
        decoded.append(pixels.dtype)
        if len(decoded) == 2:
            pixels[:] = torch.inf
        return pixels

    hook = painter.vae.decoder.register_forward_hook(overflow)
    pictures = paint_all(painter, requests(3), sampling)
    hook.remove()
    assert decoded == [torch.float16, torch.float16, torch.float32, torch.float16]
    assert np.array_equal(pictures[[0, 2]], expected[[0, 2]])
    assert np.abs(pictures[1].astype(float) - expected[1]).mean() < 2
    assert np.array_equal(paint_all(painter, requests(3), sampling), expected)


def test_a_model_without_numbers_is_an_error(sd1: Path, tmp_path: Path) -> None:
    painter = load(sd1, tmp_path)
    with torch.no_grad():
        painter.unet.conv_out.bias.fill_(torch.nan)
    with pytest.raises(ModelError, match="no numbers"):
        paint_all(painter, requests(1))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_single_step_is_possible(scheduler: str, painter: Painter) -> None:
    pictures = paint_all(painter, requests(1), Sampling(steps=1, guidance=2.0, scheduler=scheduler))
    assert pictures.shape == (1, 64, 64, 3)


def test_impossible_steps_are_wrong_use(painter: Painter) -> None:
    with pytest.raises(UsageError, match="1 to 1000"):
        paint_all(painter, requests(1), Sampling(steps=1001, guidance=2.0, scheduler="ddim"))
