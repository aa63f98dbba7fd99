"""Pictures in words: six slots, each with a few words of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.starter.painter.texture import TEXTURES

if TYPE_CHECKING:
    from covergen.starter.painter.direction import Direction, Tone

__all__ = ["FAMILY_NAMES", "VOCABULARY", "describe"]

FAMILY_NAMES = (
    "swiss geometry",
    "gradient mesh",
    "flow field",
    "cut paper",
    "record grooves",
    "ridge lines",
    "truchet tiles",
    "op art",
    "halftone print",
    "ink brush",
    "horizon landscape",
)
_WARMTHS = ("cool", "neutral", "warm")
_COLORS = ("muted", "colorful", "vivid")
_LIGHTS = ("dark", "dim", "bright", "pale")
_MOODS = ("sparse", "open", "full", "bold")

_SLOTS = (FAMILY_NAMES, _WARMTHS, _COLORS, _LIGHTS, _MOODS, TEXTURES)

VOCABULARY = tuple(sorted({word for slot in _SLOTS for name in slot for word in name.split()}))
"""Every word that a caption can hold; the words are parted by ", " or by a space."""


def describe(family: str, tone: Tone, direction: Direction, texture: str) -> str:
    """The caption, for instance "swiss geometry, warm, muted, bright, sparse, grain"."""
    warmth = tone.b + 0.5 * tone.a
    return ", ".join(
        (
            family,
            _graded(_WARMTHS, warmth, (4, 25)),
            _graded(_COLORS, tone.chroma, (31, 41)),
            _graded(_LIGHTS, tone.lightness, (42, 55, 68)),
            _graded(_MOODS, direction.scale, (0.25, 0.5, 0.75)),
            texture,
        )
    )


def _graded(words: tuple[str, ...], value: float, limits: tuple[float, ...]) -> str:
    return words[sum(value > limit for limit in limits)]
