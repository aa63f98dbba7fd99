"""Sets of covers as features and thumbnails, cached on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.color import cielab_from_linear, linear_from_srgb
from covergen.core.cover import PaintRequest
from covergen.finish.finishes import apply_finish
from covergen.poster.attributes import draw_attributes
from covergen.poster.painter import FAMILIES
from covergen.poster.painter import paint as paint_procedurally
from covergen.poster.painter.features import features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.core.cover import Sampling
    from covergen.diffusion.painter import Painter
    from covergen.poster.attributes import Attributes


FEATURES = ("lightness", "chroma", "a", "b", "contrast", "edge_density", "element_scale")
EDGE_DENSITY = FEATURES.index("edge_density")
EXPRESSED = [0, 1, 2, 3, 5, 6]  # all but contrast, which is not expected to follow the music
_SIZE = 512
_THUMB = 128
_CELLS = 4
_QUANTILES = np.linspace(0.02, 0.98, 6)


@dataclass(frozen=True, slots=True)
class Pictures:
    """A set of pictures. features: (N, 7); sharpness: (N,); thumbs: (N, 128, 128, 3) uint8."""

    features: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    thumbs: NDArray[np.uint8]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Pictures:
        return Pictures(self.features[rows], self.sharpness[rows], self.thumbs[rows])

    def describe(self) -> NDArray[np.float64]:
        """Return descriptors, (N, 125): features, colors by cell and quantile, and edges."""
        lab = cielab_from_linear(linear_from_srgb(self.thumbs)).astype(np.float64)
        size = _THUMB // _CELLS
        cells = lab.reshape(-1, _CELLS, size, _CELLS, size, 3)
        steps = [np.diff(lab[..., 0], axis=axis) for axis in (1, 2)]
        edges = [np.log1p(np.abs(s).mean((1, 2)))[:, None] for s in steps]
        rough = [np.log1p(np.abs(np.diff(s, axis=1)).mean((1, 2)))[:, None] for s in steps]
        return np.concatenate(
            [
                self.features,
                cells.mean((2, 4)).reshape(len(lab), -1),
                cells.std((2, 4)).reshape(len(lab), -1),
                *(_quantiles(lab[..., k]) for k in range(3)),
                *edges,
                *rough,
            ],
            axis=1,
        )


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quantiles of each picture, (N, h, w) to (N, 6)."""
    return np.quantile(values.reshape(len(values), -1), _QUANTILES, axis=1).T


def measure(pictures: Iterable[NDArray[np.uint8]]) -> Pictures:
    """Measure square pictures whose side is a multiple of 128."""
    rows, edges, thumbs = [], [], []
    for pixels in pictures:
        rows.append(astuple(features(pixels)))
        edges.append(sharpness(pixels))
        step = len(pixels) // _THUMB
        parts = pixels.reshape(_THUMB, step, _THUMB, step, 3).mean((1, 3))
        thumbs.append(parts.round().astype(np.uint8))
    return Pictures(np.array(rows, np.float64), np.array(edges), np.stack(thumbs))


def sharpness(pixels: NDArray[np.uint8]) -> float:
    """Return the steepness of a picture's edges, in L* per pixel.

    The mean gradient of L*, weighted by itself: unlike a percentile, it depends neither on the
    number of edges nor on flat areas. 0 for a flat picture.
    """
    lightness = cielab_from_linear(linear_from_srgb(pixels))[..., 0].astype(np.float64)
    steepness = np.hypot(np.diff(lightness, axis=0)[:, :-1], np.diff(lightness, axis=1)[:-1])
    total = float(steepness.sum())
    return float((steepness**2).sum()) / total if total else 0.0


def paint_covers(
    painter: Painter,
    vectors: NDArray[np.float32],
    seeds: Iterable[int],
    sampling: Sampling,
    path: Path,
    *,
    styles: Sequence[str] = ("",),
    prompts: Sequence[str] = ("",),
) -> Pictures:
    """Paint a cover for each vector, (N, D), and seed. Cached in `path`.

    Cycles through styles, and through the prompts of a painter without an adapter.
    """
    from covergen.diffusion.sampler import paint

    if (cached := _load(path)) is not None and len(cached.features) == len(vectors):
        return cached
    requests = [
        PaintRequest(
            vector=vector,
            seed=seed,
            style=styles[number % len(styles)],
            prompt=prompts[number % len(prompts)],
        )
        for number, (vector, seed) in enumerate(zip(vectors, seeds, strict=True))
    ]
    covers = paint(painter, requests, sampling, batch_size=8, check_interrupted=lambda: None)
    finished = (apply_finish(pixels, sampling, len(pixels)) for pixels in covers)
    return _save(measure(finished), path)


def procedural_pictures(
    seed: int,
    count: int,
    path: Path,
    *,
    size: int = _SIZE,
    families: Sequence[str] = tuple(FAMILIES),
) -> tuple[NDArray[np.float64], Pictures]:
    """Paint `count` pictures procedurally, cycling through the families. Cached in `path`.

    Returns their attributes, (count, 11), and the pictures.
    """
    rows, pictures = [], []
    cached = _load(path)
    for item in range(count):
        rng = np.random.default_rng([seed, item])
        attributes = draw_attributes(rng)
        rows.append(attributes.row)
        if cached is None:
            family = families[item % len(families)]
            painting = paint_procedurally(attributes, rng, size=size, style=family, grain=False)
            pictures.append(painting.pixels)
    return np.array(rows), cached if cached is not None else _save(measure(pictures), path)


def pictures_in_styles(
    music: Iterable[Attributes], styles: Sequence[str], seed: int, path: Path
) -> Pictures:
    """Paint a picture procedurally for each piece of music, in the styles in turn.

    Cached in `path`.
    """
    if (cached := _load(path)) is not None:
        return cached
    return _save(
        measure(
            paint_procedurally(
                attributes,
                np.random.default_rng([seed, item]),
                size=_SIZE,
                style=styles[item % len(styles)],
                grain=False,
            ).pixels
            for item, attributes in enumerate(music)
        ),
        path,
    )


def _load(path: Path) -> Pictures | None:
    if not path.exists():
        return None
    with np.load(path) as saved:
        return Pictures(saved["features"], saved["sharpness"], saved["thumbs"])


def _save(pictures: Pictures, path: Path) -> Pictures:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        features=pictures.features,
        sharpness=pictures.sharpness,
        thumbs=pictures.thumbs,
    )
    return pictures
