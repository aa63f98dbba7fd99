"""Loading a painter, and painting with the reference implementation's adapters."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch.nn import functional

from covergen.core.cover import PaintRequest, Sampling
from covergen.core.errors import AdapterError
from tests.painting import load, paint_all
from tests.plain_diffusion import (
    difference,
    embeddings,
    empty_prompt,
    pipeline_pictures,
    unmerged_unet,
)
from tests.tiny_base import make_tiny_adapter, make_tiny_base

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("projection", "d_audio", "guidance"), [("linear", 512, 7.5), ("none", 32, 1.0)]
)
def test_reference_adapters_paint_the_same_pictures(
    projection: str, d_audio: int, guidance: float, sd1: Path, tmp_path: Path
) -> None:
    adapter = make_tiny_adapter(
        tmp_path / "final_lora_and_projection_weights.safetensors",
        sd1,
        d_audio=d_audio,
        projection=projection,
        rank=8,
        reference=True,
    )
    vectors, seeds = embeddings(2, d_audio), [3, 4]
    conditional = torch.tensor(np.stack(vectors))
    if projection == "linear":
        file = load_file(adapter)
        conditional = functional.linear(
            conditional, file["audio_projection.weight"], file["audio_projection.bias"]
        )
    unconditional = empty_prompt(sd1, masked=True)
    expected = pipeline_pictures(
        sd1,
        unmerged_unet(sd1, adapter, rank=8),
        DDPMScheduler.from_pretrained(sd1 / "scheduler"),
        conditional=conditional[:, None].repeat(1, unconditional.shape[1], 1),
        unconditional=unconditional,
        seeds=seeds,
        steps=10,
        guidance=guidance,
    )
    painter = load(sd1, adapter, d_audio=d_audio)
    wanted = [PaintRequest(vector=v, seed=s) for v, s in zip(vectors, seeds, strict=True)]
    sampling = Sampling(steps=10, guidance=guidance, scheduler="ddpm")
    pictures = paint_all(painter, wanted, sampling)
    assert painter.adapter.empty_prompt == "masked"
    assert difference(pictures, expected) <= 2


def test_adapters_are_checked_before_the_base_is_loaded(
    sd1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_tiny_base(tmp_path / "other", cross_attention_dim=24)
    adapter = make_tiny_adapter(tmp_path / "adapter.safetensors", other)
    broken = make_tiny_adapter(tmp_path / "broken.safetensors", sd1)
    damage_last_value(broken)

    def fail(*_: object, **__: object) -> None:
        pytest.fail("the base's weights were loaded")

    monkeypatch.setattr(UNet2DConditionModel, "from_pretrained", fail)
    with pytest.raises(AdapterError, match="does not fit the base"):
        load(sd1, adapter)
    with pytest.raises(AdapterError, match="NaN or infinite"):
        load(sd1, broken)


def damage_last_value(path: Path) -> None:
    """Replace the last float32 of the last tensor, at the end of the file, with NaN."""
    path.write_bytes(path.read_bytes()[:-4] + np.float32(np.nan).tobytes())
