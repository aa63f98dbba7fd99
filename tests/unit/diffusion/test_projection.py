"""Projections of embeddings to tokens, and their alignment to the prompt's length."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.nn import functional

from covergen.diffusion.projection import align, make_projection


@pytest.fixture(scope="module")
def unet(sd1: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(sd1 / "unet").eval()


def test_linear_is_a_plain_linear_layer() -> None:
    torch.manual_seed(0)
    projection = make_projection("linear", d_audio=512, d_cross=24)
    torch.manual_seed(0)
    reference = nn.Linear(512, 24)  # with the same initialization
    assert projection.state_dict().keys() == reference.state_dict().keys()
    embedding = torch.randn(3, 512)
    assert torch.equal(projection(embedding), reference(embedding)[:, None])


def test_tokens_are_normalized_and_differ() -> None:
    projection = make_projection("tokens", d_audio=512, d_cross=24, tokens=7)
    tokens = projection(functional.normalize(torch.randn(3, 512), dim=-1))
    assert tokens.shape == (3, 7, 24)
    assert torch.allclose(tokens.mean(-1), torch.zeros(3, 7), atol=1e-5)
    assert torch.allclose(tokens.std(-1, correction=0), torch.ones(3, 7), atol=0.05)
    assert torch.cdist(tokens[0], tokens[0])[~torch.eye(7, dtype=torch.bool)].min() > 1
    assert (tokens[0] - tokens[1]).abs().mean() > 0.5, "not dominated by the bias"


def test_none_is_the_embedding_itself() -> None:
    projection = make_projection("none", d_audio=24, d_cross=24)
    assert not projection.state_dict()
    embedding = torch.randn(3, 24)
    assert torch.equal(projection(embedding), embedding[:, None])


@pytest.mark.parametrize("tokens", [1, 7, 77, 50])
@torch.no_grad()
def test_alignment_does_not_change_attention(tokens: int, unet: UNet2DConditionModel) -> None:
    latents, sequence = torch.randn(2, 4, 8, 8), torch.randn(2, tokens, 32)
    aligned, mask = align(sequence, 77)
    assert aligned.shape == (2, 77, 32)
    assert bool(mask.all()) == (77 % tokens == 0)
    expected = unet(latents, 5, encoder_hidden_states=sequence).sample
    found = unet(latents, 5, encoder_hidden_states=aligned, encoder_attention_mask=mask).sample
    scale = expected.abs().max()
    assert (found - expected).abs().max() <= 2e-6 * scale
    if 77 % tokens:
        padded = functional.pad(sequence, (0, 0, 0, 77 - tokens))
        assert (unet(latents, 5, padded).sample - expected).abs().max() > 1e-3 * scale
