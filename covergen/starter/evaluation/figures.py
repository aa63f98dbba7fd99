"""The figures, each with a 95 % interval by bootstrap over tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.color import cielab_from_linear, linear_from_srgb
from covergen.starter.evaluation.agreement import explained, predict_held_out
from covergen.starter.evaluation.pictures import EDGE_DENSITY, EXPRESSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from covergen.starter.evaluation.pictures import Pictures

__all__ = [
    "Figure",
    "agreement",
    "closeness",
    "control",
    "empty_covers",
    "near_duplicates",
    "recognised",
    "relative_sharpness",
    "retrieval",
]

_RESAMPLED = 500
_AMONG = 64  # tracks, for retrieval
_RIDGE = 30.0
_PROJECTIONS = 256
_ALIKE = 5.0  # CIE 1976 dE, root mean square over the thumbnail


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, its interval, and the number of covers that it is from."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class _Probe:
    """Reads (N, F) standardised descriptions as (N, 11) attributes."""

    middle: NDArray[np.float64]
    weights: NDArray[np.float64]

    def read(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.middle + inputs @ self.weights)


def agreement(mood: NDArray[np.float64], covers: Pictures) -> tuple[Figure, NDArray[np.float64]]:
    """Mean cross-validated R² of the expressed features from (N, 2) arousal and valence.

    Also the R² of each.
    """
    outputs = covers.features[:, EXPRESSED]
    predicted = predict_held_out(mood, outputs)
    each = explained(predicted, outputs)
    figure = _bootstrap(
        len(outputs), lambda rows: float(explained(predicted[rows], outputs[rows]).mean())
    )
    return figure, each


def retrieval(
    attributes: NDArray[np.float64],
    covers: Pictures,
    known: NDArray[np.float64],
    known_pictures: Pictures,
) -> Figure:
    """R@1 among 64: how often a probe finds the cover's own track.

    The probe reads (M, 11) attributes off pictures by ridge regression, and was fitted on the
    painter's own; a track is near whose attributes are what it reads, each weighed by how well it
    reads them.
    """
    inputs, middle, deviation = _standardised(known_pictures.describe())
    split = len(inputs) * 3 // 4
    probe = _fit(inputs[:split], known[:split])
    error = np.mean((probe.read(inputs[split:]) - known[split:]) ** 2, axis=0)
    # What the probe cannot read says nothing: its spread is hardly above its error.
    precision = np.maximum(known.var(0) - error, 0) / (known.var(0) * error)
    read = probe.read((covers.describe() - middle) / deviation)
    found = []
    for first in range(0, len(read) - _AMONG + 1, _AMONG):
        rows = slice(first, first + _AMONG)
        apart = ((read[rows, None] - attributes[None, rows]) ** 2 * precision).sum(-1)
        found += list(apart.argmin(1) == np.arange(_AMONG))
    hits = np.array(found, float)
    return _bootstrap(len(hits), lambda rows: float(hits[rows].mean()))


def control(covers: Pictures, seeds: int) -> Figure:
    """Between-track over within-track variance of the features, of rows track by track.

    The variances of standardised features are summed; that between tracks is freed of what the
    seeds bring into the tracks' means.
    """
    rows = covers.features / covers.features.std(0)
    tracks = rows.reshape(-1, seeds, rows.shape[1])
    means, within = tracks.mean(1), tracks.var(1, ddof=1).sum(1)

    def ratio(chosen: NDArray[np.intp]) -> float:
        noise = within[chosen].mean()
        return float((means[chosen].var(0, ddof=1).sum() - noise / seeds) / noise)

    return _bootstrap(len(tracks), ratio)


def near_duplicates(covers: Pictures) -> int:
    """How many pairs can hardly be told apart, at a side of 128 pixels."""
    lab = cielab_from_linear(linear_from_srgb(covers.thumbs)).reshape(len(covers.thumbs), -1, 3)
    flat = lab.reshape(len(lab), -1)
    squares = (flat**2).sum(1)
    apart = (squares[:, None] + squares[None] - 2 * flat @ flat.T) / lab.shape[1]
    return int((np.triu(apart < _ALIKE**2, k=1)).sum())


def empty_covers(covers: Pictures, others: Pictures) -> int:
    """How many have fewer edges than all but one in a hundred of the others."""
    least = np.percentile(others.features[:, EDGE_DENSITY], 1)
    return int((covers.features[:, EDGE_DENSITY] < least).sum())


def relative_sharpness(covers: Pictures, others: Pictures) -> Figure:
    """The mean steepness of edges as a ratio to that of the others, at the same size."""
    wanted = others.sharpness.mean()
    given = covers.sharpness
    return _bootstrap(len(given), lambda rows: float(given[rows].mean() / wanted))


def recognised(found: NDArray[np.intp], wanted: NDArray[np.intp]) -> Figure:
    """The share of (N,) labels that are found right."""
    hits = (found == wanted).astype(float)
    return _bootstrap(len(hits), lambda rows: float(hits[rows].mean()))


def closeness(covers: Pictures, others: Pictures) -> Figure:
    """The sliced Wasserstein distance of two sets, in deviations of the others' description."""
    wanted, middle, deviation = _standardised(others.describe())
    given = (covers.describe() - middle) / deviation
    size = min(len(given), len(wanted))
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((given.shape[1], _PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    theirs, ours = wanted[:size] @ directions, given[:size] @ directions

    def distance(rows: NDArray[np.intp]) -> float:
        between = np.abs(np.sort(ours[rows], 0) - np.sort(theirs[rows], 0))
        return float(between.mean())

    return _bootstrap(size, distance)


def _bootstrap(count: int, figure: Callable[[NDArray[np.intp]], float]) -> Figure:
    """Efron & Tibshirani 1993: the percentile interval."""
    rng = np.random.default_rng(0)
    values = [figure(rng.integers(count, size=count)) for _ in range(_RESAMPLED)]
    low, high = np.percentile(values, [2.5, 97.5])
    return Figure(figure(np.arange(count)), float(low), float(high), count)


def _standardised(
    rows: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    middle, deviation = rows.mean(0), rows.std(0) + 1e-6
    return (rows - middle) / deviation, middle, deviation


def _fit(inputs: NDArray[np.float64], outputs: NDArray[np.float64]) -> _Probe:
    """Ridge regression of outputs on standardised inputs."""
    middle = outputs.mean(0)
    gram = inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1])
    return _Probe(middle, np.linalg.solve(gram, inputs.T @ (outputs - middle)))
