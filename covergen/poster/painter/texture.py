"""Surface texture, added last so that a picture can also be painted without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.ink_sheet import cloud

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.poster.attributes import Attributes


TEXTURES = ("clean", "grain", "paper")


def draw_texture(attributes: Attributes, rng: np.random.Generator) -> str:
    """Draw a texture: rough music is often grainy, quiet music often on paper."""
    grain = 0.10 + 0.60 * attributes.roughness
    paper = 0.30 * (1 - attributes.loudness)
    draw = rng.uniform()
    return "grain" if draw < grain else "paper" if draw < grain + paper else "clean"


def add_texture(
    pixels: NDArray[np.uint8], texture: str, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Add film grain or paper texture to (size, size, 3) pixels, equal in all channels."""
    if texture == "clean":
        return pixels
    size = len(pixels)
    noise = rng.standard_normal((size, size), np.float32)
    if texture == "grain":
        relief = 5.0 * noise
    else:
        soft = noise + np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1)
        relief = 1.6 * soft + 2.0 * cloud(rng, size, 60)
    grained = pixels + relief[..., None]
    return np.clip(grained + np.float32(0.5), 0, 255).astype(np.uint8)
