"""Training with words next to the music."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from covergen.core.cover import PaintRequest
from covergen.diffusion.base_config import read_config
from covergen.diffusion.load_base import encode_prompts
from covergen.diffusion.projection import make_projection
from covergen.training.data.examples import Example
from covergen.training.denoising import draw, draw_captioned, make_tokens
from covergen.training.events import Validated
from tests.painting import load, paint_all
from tests.tiny_base import make_tiny_base
from tests.unit.training.trainer import SAMPLING, Trainer


@pytest.fixture
def captioned(examples: list[Example]) -> list[Example]:
    """The examples with captions, but for one."""
    words = ("ink", "paper and ink", "", "a" * 200)
    return [replace(example, caption=words[number % 4]) for number, example in enumerate(examples)]


def trained(trainer: Trainer) -> dict[str, str]:
    """The training metadata of the finished adapter."""
    with safe_open(trainer.output / "adapter.safetensors", framework="pt") as file:
        return dict(json.loads(file.metadata()["covergen.training"]))


def test_captions_stand_before_the_audio_and_are_dropped_with_it(tmp_path: Path) -> None:
    """The UNet predicts what it does for each pair's own sequence, without padding."""
    from diffusers import UNet2DConditionModel

    base = make_tiny_base(tmp_path / "base")
    unet = UNet2DConditionModel.from_pretrained(base / "unet").eval()
    config = read_config(base)
    empty, first, second = encode_prompts(config, ["", "ink", "paper and ink"], masked=False)
    torch.manual_seed(0)
    projection = make_projection("tokens", d_audio=6, d_cross=32, tokens=7)
    vectors = torch.randn(4, 6)
    dropped = torch.tensor([False, True, False, False])
    with torch.no_grad():
        tokens, mask = make_tokens(
            projection, vectors, empty, dropped, [first, second, None, second]
        )
        audio = projection(vectors)
    expected: list[Tensor] = [
        torch.cat([first, audio[:1]], 1), empty, audio[2:3], torch.cat([second, audio[3:]], 1),
    ]  # fmt: skip
    latents = torch.randn(4, 4, 8, 8)
    with torch.no_grad():
        found = unet(latents, 500, tokens, encoder_attention_mask=mask).sample
        alone = [unet(latents[i : i + 1], 500, one).sample for i, one in enumerate(expected)]
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_half_of_the_captions_are_used_whatever_else_is_drawn() -> None:
    seeds = [(3, 0, step, slot) for step in range(40) for slot in range(10)]
    captioned = draw_captioned(seeds)
    assert 0.4 < np.mean(captioned) < 0.6
    assert draw_captioned(seeds[5:8]) == captioned[5:8]
    dropped = draw(seeds, (1, 1, 1), dropout=0.5, timesteps=1000).dropped.tolist()
    assert min(Counter(zip(captioned, dropped, strict=True)).values()) > 70, "independent"


def test_adapter_learns_words_and_says_so(
    sd1: Path, tmp_path: Path, examples: list[Example], captioned: list[Example]
) -> None:
    plain, worded = Trainer(sd1, tmp_path / "plain"), Trainer(sd1, tmp_path / "worded")
    plain(examples)
    worded(captioned, validation=0.3, validate_every=2, sample_every=2)
    assert "captions" not in trained(plain)
    assert trained(worded)["captions"] is True
    assert np.isfinite([event.loss for event in worded.emitted(Validated)]).all()
    assert (worded.output / "samples" / "step-4.png").exists()
    painter = load(sd1, worded.output / "adapter.safetensors", styles=["ink"])
    wanted = [PaintRequest(vector=examples[0].vector, seed=1, style=style) for style in ("", "ink")]
    pictures = paint_all(painter, wanted, SAMPLING)
    assert not np.array_equal(*pictures)


def test_without_captions_nothing_changes(
    whole: Trainer, copied: Trainer, examples: list[Example]
) -> None:
    """An empty column is no column."""
    again = Trainer(copied.base, copied.output.with_name("again"))
    again([replace(example, caption="") for example in examples])
    assert again.adapter_digest == whole.adapter_digest
    assert again.losses == whole.losses
