"""Metrics, each with a 95 % bootstrap interval over tracks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.color import cielab_from_linear, linear_from_srgb
from covergen.starter.evaluation.agreement import explained, predict_held_out
from covergen.starter.evaluation.pictures import EDGE_DENSITY, EXPRESSED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.evaluation.pictures import Pictures


_RESAMPLED = 500
_AMONG = 64  # tracks per retrieval
_RIDGE = 30.0
_PROJECTIONS = 256
_DUPLICATE_DE = 5.0  # CIE 1976 dE, root mean square over the thumbnail


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric, its 95 % interval, and the number of covers or tracks behind it."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class _Probe:
    """A linear map from standardized descriptors, (N, F), to attributes, (N, 11)."""

    middle: NDArray[np.float64]
    weights: NDArray[np.float64]

    def predict(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.middle + inputs @ self.weights)


def agreement(mood: NDArray[np.float64], covers: Pictures) -> tuple[Figure, NDArray[np.float64]]:
    """Return the mean cross-validated R² of the expressed features, and the R² of each.

    The predictors are arousal and valence, (N, 2).
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
    """Return R@1 among 64: how often a probe identifies a cover's own track.

    The probe predicts attributes from pictures by ridge regression, fitted on the painter's
    pictures and their attributes, (M, 11). The track with the closest attributes is chosen, each
    attribute weighted by the probe's accuracy.
    """
    inputs, middle, deviation = _standardize(known_pictures.describe())
    split = len(inputs) * 3 // 4
    probe = _fit(inputs[:split], known[:split])
    error = np.mean((probe.predict(inputs[split:]) - known[split:]) ** 2, axis=0)
    # Attributes that the probe cannot predict get almost no weight.
    precision = np.maximum(known.var(0) - error, 0) / (known.var(0) * error)
    predicted = probe.predict((covers.describe() - middle) / deviation)
    hits: list[bool] = []
    for first in range(0, len(predicted) - _AMONG + 1, _AMONG):
        rows = slice(first, first + _AMONG)
        distances = ((predicted[rows, None] - attributes[None, rows]) ** 2 * precision).sum(-1)
        hits += list(distances.argmin(1) == np.arange(_AMONG))
    return _bootstrap(len(hits), lambda rows: float(np.array(hits, float)[rows].mean()))


def control(covers: Pictures, seeds: int) -> Figure:
    """Return the ratio of between-track to within-track variance of the features.

    `covers` has `seeds` consecutive rows per track. The variances of standardized features are
    summed, and the between-track variance is corrected for the seeds' variance of the means.
    """
    rows = covers.features / covers.features.std(0)
    tracks = rows.reshape(-1, seeds, rows.shape[1])
    means, within = tracks.mean(1), tracks.var(1, ddof=1).sum(1)

    def ratio(chosen: NDArray[np.intp]) -> float:
        noise = within[chosen].mean()
        return float((means[chosen].var(0, ddof=1).sum() - noise / seeds) / noise)

    return _bootstrap(len(tracks), ratio)


def near_duplicates(covers: Pictures) -> int:
    """Count pairs that are nearly indistinguishable at 128 pixels."""
    lab = cielab_from_linear(linear_from_srgb(covers.thumbs)).reshape(len(covers.thumbs), -1, 3)
    flat = lab.reshape(len(lab), -1)
    squares = (flat**2).sum(1)
    distances = (squares[:, None] + squares[None] - 2 * flat @ flat.T) / lab.shape[1]
    return int((np.triu(distances < _DUPLICATE_DE**2, k=1)).sum())


def empty_covers(covers: Pictures, others: Pictures) -> int:
    """Count covers with fewer edges than the first percentile of the others."""
    least = np.percentile(others.features[:, EDGE_DENSITY], 1)
    return int((covers.features[:, EDGE_DENSITY] < least).sum())


def relative_sharpness(covers: Pictures, others: Pictures) -> Figure:
    """Return the mean sharpness relative to that of the others, at the same size."""
    reference = others.sharpness.mean()
    values = covers.sharpness
    return _bootstrap(len(values), lambda rows: float(values[rows].mean() / reference))


def recognized(predicted: NDArray[np.intp], labels: NDArray[np.intp]) -> Figure:
    """Return the share of predicted labels, (N,), that are correct."""
    hits = (predicted == labels).astype(float)
    return _bootstrap(len(hits), lambda rows: float(hits[rows].mean()))


def closeness(covers: Pictures, others: Pictures) -> Figure:
    """Return the sliced Wasserstein distance of two sets of standardized descriptors."""
    reference, middle, deviation = _standardize(others.describe())
    described = (covers.describe() - middle) / deviation
    size = min(len(described), len(reference))
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((described.shape[1], _PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    theirs, ours = reference[:size] @ directions, described[:size] @ directions

    def distance(rows: NDArray[np.intp]) -> float:
        between = np.abs(np.sort(ours[rows], 0) - np.sort(theirs[rows], 0))
        return float(between.mean())

    return _bootstrap(size, distance)


def _bootstrap(count: int, figure: Callable[[NDArray[np.intp]], float]) -> Figure:
    """Compute a metric and its percentile interval (Efron & Tibshirani 1993)."""
    rng = np.random.default_rng(0)
    values = [figure(rng.integers(count, size=count)) for _ in range(_RESAMPLED)]
    low, high = np.percentile(values, [2.5, 97.5])
    return Figure(figure(np.arange(count)), float(low), float(high), count)


def _standardize(
    rows: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    middle, deviation = rows.mean(0), rows.std(0) + 1e-6
    return (rows - middle) / deviation, middle, deviation


def _fit(inputs: NDArray[np.float64], outputs: NDArray[np.float64]) -> _Probe:
    """Fit outputs to standardized inputs by ridge regression."""
    middle = outputs.mean(0)
    gram = inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1])
    return _Probe(middle, np.linalg.solve(gram, inputs.T @ (outputs - middle)))
