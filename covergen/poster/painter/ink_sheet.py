"""The drawing surface: the weight of each ink at each pixel, and the light on it.

A family draws with inks, not colors: colors are chosen afterwards, when the area of each ink
is known. Coordinates are fractions of the side, x to the right and y down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.core.color import Floats
    from covergen.poster.painter.style import Style


Option = TypeVar("Option")
Drawing = TypeVar("Drawing", bound=Callable[..., Any])


class Ink(IntEnum):
    """The roles of colors. MAIN stands out from GROUND; SPARK is for small areas."""

    GROUND = 0
    DEEP = 1
    MAIN = 2
    SECOND = 3
    THIRD = 4
    SPARK = 5


class Sheet:
    """A square of `size` pixels, initially all GROUND and evenly lit.

    `weights`: (inks, size, size), summing to 1 over the inks. `light`: (size, size) factors on
    the OKLab color, equivalent to scaling linear light by their cubes. `notes`: the composition
    and the position of its figure, in caption words.
    """

    def __init__(self, size: int, style: Style) -> None:
        self.size, self.style = size, style
        self.weights = np.zeros((len(Ink), size, size), np.float32)
        self.weights[Ink.GROUND] = 1
        self.light = np.ones((size, size), np.float32)
        centers = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / size
        self.x, self.y = centers[None, :], centers[:, None]
        self.notes: list[str] = []

    def choose(self, rng: np.random.Generator, options: Sequence[Drawing]) -> Drawing:
        """Return the style's composition, or a random one, and note its name for the caption.

        A function's name is the composition's, with underscores.
        """
        names = [option.__name__.strip("_").replace("_", " ") for option in options]
        drawn = pick(rng, range(len(options)))
        composition = self.style.composition
        index = drawn if composition is None else names.index(composition)
        self.notes.append(names[index])
        return options[index]

    def lay(self, ink: Ink, mask: Floats | float = 1.0) -> None:
        """Paint one ink over the sheet with opacity `mask`, 0..1."""
        self.weights *= 1 - mask
        self.weights[ink] += mask

    def grade(self, inks: Sequence[Ink], position: Floats, mask: Floats | float = 1.0) -> None:
        """Paint a gradient through the inks over the sheet; `position` runs from 0 to 1."""
        self.weights *= 1 - mask
        place = np.clip(position, 0, 1) * (len(inks) - 1)
        for index, ink in enumerate(inks):
            self.weights[ink] += mask * np.maximum(1 - np.abs(place - index), 0)

    def shade(self, factor: Floats) -> None:
        """Darken (factor below 1) or lighten (above 1) the sheet."""
        self.light *= factor

    def cover(self, distance: Floats, softness: float = 0.0) -> Floats:
        """Return the mask of a form from the distance to its edge, positive inside.

        The edge is at least a pixel wide, or `softness` if that is more.
        """
        steps = distance * np.float32(1 / max(softness, 1 / self.size))
        mask: Floats = np.clip(steps + np.float32(0.5), 0, 1).astype(np.float32, copy=False)
        return mask

    def polar(self, x: float, y: float) -> tuple[Floats, Floats]:
        """Return the distance to a point and the angle around it (radians, clockwise from +x)."""
        across, down = self.x - x, self.y - y
        return np.hypot(across, down), np.arctan2(down, across)

    def turned(self, radians: float, x: float = 0.5, y: float = 0.5) -> tuple[Floats, Floats]:
        """Return coordinates in axes rotated about a point, which becomes the origin."""
        cos, sin = math.cos(radians), math.sin(radians)
        across, down = self.x - x, self.y - y
        return across * cos + down * sin, down * cos - across * sin

    def disc(self, x: float, y: float, radius: float, softness: float = 0.0) -> Floats:
        """Return the mask of a disc."""
        return self.cover(radius - np.hypot(self.x - x, self.y - y), softness)

    def press(self, plate: Plate) -> None:
        """Print a plate over the sheet."""
        masks = plate.masks()
        self.weights *= 1 - sum(masks.values())
        for ink, mask in masks.items():
            self.weights[ink] += mask

    def drop_shadow(self, mask: Floats, strength: float, reach: float = 0.012) -> None:
        """Draw the soft shadow, to the lower right, of a form that is painted next."""
        shift = max(1, round(reach * self.size))
        moved = np.pad(mask, ((shift, 0), (shift, 0)), mode="edge")[:-shift, :-shift]
        soft = blur(moved, reach * 1.2)
        self.light *= 1 - strength * soft
        self.light += (1 - self.light) * mask  # no shadow on the form itself


class Plate:
    """Forms drawn with Pillow at three times the sheet's resolution for antialiasing."""

    _FINE = 3

    def __init__(self, size: int) -> None:
        self._side = size * self._FINE
        self._image = Image.new("L", (self._side, self._side))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, ink: Ink, points: Floats | Sequence[tuple[float, float]]) -> None:
        """Draw a filled polygon. points: (N, 2)."""
        fine = np.asarray(points) * self._side
        self._draw.polygon(fine.ravel().tolist(), fill=ink + 1)

    def disc(self, ink: Ink, x: float, y: float, radius: float) -> None:
        """Draw a filled disc."""
        self._draw.ellipse(self._box(x, y, radius), fill=ink + 1)

    def pie(self, ink: Ink, x: float, y: float, radius: float, start: float, end: float) -> None:
        """Draw a filled sector; angles in degrees, clockwise from +x."""
        self._draw.pieslice(self._box(x, y, radius), start, end, fill=ink + 1)

    def ribbon(self, ink: Ink, path: Floats, width: Floats) -> None:
        """Draw a band of varying width along a path, with round ends. path: (N, 2), width: (N,)."""
        along = np.gradient(path, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        side = np.stack([-along[:, 1], along[:, 0]], axis=1) * width[:, None] / 2
        self.polygon(ink, np.concatenate([path + side, (path - side)[::-1]]))
        for end in (0, -1):
            self.disc(ink, float(path[end, 0]), float(path[end, 1]), float(width[end]) / 2)

    def masks(self) -> dict[Ink, Floats]:
        """Return the coverage of each pixel by each ink; unused inks are omitted."""
        fine = np.asarray(self._image)
        present = np.flatnonzero(np.bincount(fine[::2, ::2].ravel(), minlength=len(Ink) + 1)[1:])
        return {Ink(int(k)): self._averaged(fine == k + 1) for k in present}

    def _averaged(self, fine: NDArray[np.bool_]) -> Floats:
        coarse = Image.fromarray(fine.view(np.uint8) * np.uint8(252)).reduce(self._FINE)
        return np.asarray(coarse, np.float32) / 252

    def _box(self, x: float, y: float, radius: float) -> list[float]:
        return [value * self._side for value in (x - radius, y - radius, x + radius, y + radius)]


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """Return a random option."""
    return options[int(rng.integers(len(options)))]


def lerp(low: float, high: float, position: float) -> float:
    """Interpolate linearly from `low` at position 0 to `high` at 1."""
    return low + (high - low) * position


def smooth(values: Floats) -> Floats:
    """Apply the cubic smoothstep from 0 to 1."""
    clipped: Floats = np.clip(values, 0, 1)
    step: Floats = clipped * clipped * (3 - 2 * clipped)
    return step


def blur(values: Floats, radius: float) -> Floats:
    """Blur (size, size) values of 0..1; `radius` is the standard deviation over the side."""
    size = len(values)
    small = Image.fromarray(np.asarray(values * 255, np.uint8)).reduce(2)
    soft = small.filter(ImageFilter.GaussianBlur(radius * size / 2))
    return np.asarray(soft.resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255


def cloud(rng: np.random.Generator, size: int, cells: float, tall: float = 1.0) -> Floats:
    """Return smooth noise of about -1..1 with `cells` bumps across and `cells * tall` down."""
    across, down = cells, cells * tall
    lattice = rng.uniform(-1, 1, (math.ceil(down) + 3, math.ceil(across) + 3)).astype(np.float32)
    box = (1.0, 1.0, 1.0 + across, 1.0 + down)
    image = Image.fromarray(lattice).resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image) * np.float32(1.4)


def profile(rng: np.random.Generator, size: int, cells: float) -> Floats:
    """Return one-dimensional smooth noise of about -1..1, (size,)."""
    line: Floats = cloud(rng, size, cells, 1 / cells)[size // 2]
    return line
