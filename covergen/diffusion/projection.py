"""Audio embedding to the tokens that the UNet attends to."""

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["AudioProjection", "ProjectionKind", "align", "make_projection"]

ProjectionKind = Literal["linear", "tokens", "none"]


class AudioProjection(nn.Linear):
    """(B, d_audio) to (B, N, d_cross): a linear map, then LayerNorm where there are many tokens.

    N different tokens let the sound say different things to different places of the picture; one
    token is the same at every pixel. Source: the image projection of IP-Adapter (Ye et al. 2023,
    arXiv 2308.06721).
    """

    def __init__(self, d_audio: int, d_cross: int, *, tokens: int, norm: bool) -> None:
        super().__init__(d_audio, tokens * d_cross)
        self.shape = (tokens, d_cross)
        self.norm = nn.LayerNorm(d_cross) if norm else nn.Identity()
        if norm:
            # LayerNorm hides the scale, so that a random bias would drown the sound.
            nn.init.zeros_(self.bias)

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, d_audio) to (B, N, d_cross)."""
        tokens: Tensor = self.norm(super().forward(embedding).view(-1, *self.shape))
        return tokens


def make_projection(
    kind: ProjectionKind, *, d_audio: int, d_cross: int, tokens: int = 1
) -> nn.Module:
    """Make a projection as training starts from it: (B, d_audio) to (B, tokens, d_cross).

    "linear" is one token through a plain Linear, "tokens" is many, "none" takes the embedding as
    the one token that it is, where the sizes match.
    """
    if kind == "none":
        return nn.Unflatten(-1, (1, d_cross))
    return AudioProjection(d_audio, d_cross, tokens=tokens, norm=kind == "tokens")


def align(sequence: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Stretch (B, N, d) to (B, length, d) such that attention to it stays the same function.

    Every token is repeated equally often, which softmax attention does not notice; what is left
    over is filled with zeros and masked. Returns the sequence and its mask: (B, length) bool, True
    where there is a token.
    """
    batch, tokens, _ = sequence.shape
    filled = sequence.repeat(1, length // tokens, 1)
    rest = length - filled.shape[1]
    mask = torch.ones(batch, length, dtype=torch.bool, device=sequence.device)
    mask[:, length - rest :] = False
    return nn.functional.pad(filled, (0, 0, 0, rest)), mask
