"""Project audio embeddings to tokens for the UNet's cross-attention."""

from typing import Literal

import torch
from torch import Tensor, nn

ProjectionKind = Literal["linear", "tokens", "none"]


class AudioProjection(nn.Linear):
    """A linear layer from (B, d_audio) to (B, N, d_cross), with LayerNorm if `norm`.

    With several tokens, the audio can affect regions of the picture differently; a single token
    adds the same value at every pixel. Source: the image projection of IP-Adapter (Ye et al. 2023,
    arXiv 2308.06721).
    """

    def __init__(self, d_audio: int, d_cross: int, *, tokens: int, norm: bool) -> None:
        super().__init__(d_audio, tokens * d_cross)
        self.shape = (tokens, d_cross)
        self.norm = nn.LayerNorm(d_cross) if norm else nn.Identity()
        if norm:
            # LayerNorm removes the scale, so a random bias would outweigh the small embedding.
            nn.init.zeros_(self.bias)

    def forward(self, embedding: Tensor) -> Tensor:
        """Project (B, d_audio) to (B, N, d_cross)."""
        tokens: Tensor = self.norm(super().forward(embedding).view(-1, *self.shape))
        return tokens


def make_projection(
    kind: ProjectionKind, *, d_audio: int, d_cross: int, tokens: int = 1
) -> nn.Module:
    """Create an untrained projection from (B, d_audio) to (B, tokens, d_cross).

    "linear": one token from a linear layer. "tokens": several, with LayerNorm. "none": the
    embedding itself is the token, which requires d_audio = d_cross.
    """
    if kind == "none":
        return nn.Unflatten(-1, (1, d_cross))
    return AudioProjection(d_audio, d_cross, tokens=tokens, norm=kind == "tokens")


def align(sequence: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Extend (B, N, d) to (B, length, d) without changing the result of attention to it.

    Repeating every token equally often does not change softmax attention; remaining positions are
    zero and masked. Returns the sequence and its mask, (B, length) bool, True for tokens.
    """
    batch, tokens, _ = sequence.shape
    filled = sequence.repeat(1, length // tokens, 1)
    rest = length - filled.shape[1]
    mask = torch.ones(batch, length, dtype=torch.bool, device=sequence.device)
    mask[:, length - rest :] = False
    return nn.functional.pad(filled, (0, 0, 0, rest)), mask
