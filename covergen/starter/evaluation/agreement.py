"""Measure how much of the variance of cover features the music explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def explained(predicted: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the R² of each column, (N, F) to (F,).

    It is at most 1, and about 0 or below where nothing is explained.
    """
    residual = np.sum((outputs - predicted) ** 2, axis=0)
    return np.asarray(1 - residual / np.sum((outputs - outputs.mean(0)) ** 2, axis=0))


def predict_held_out(
    inputs: NDArray[np.float64], outputs: NDArray[np.float64], *, folds: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Predict each row of the outputs from a quadratic model fitted without that row's fold.

    inputs: (N, D), outputs: (N, F). Returns (N, F). Least squares with a small ridge penalty;
    `seed` sets the folds.
    """
    count, width = inputs.shape
    scaled = (inputs - inputs.mean(0)) / inputs.std(0)
    pairs = [scaled[:, i] * scaled[:, j] for i in range(width) for j in range(i, width)]
    terms = np.column_stack([np.ones(count), scaled, *pairs])
    order = np.random.default_rng(seed).permutation(count)
    predicted = np.empty_like(outputs, dtype=np.float64)
    for held_out in np.array_split(order, folds):
        kept = np.setdiff1d(order, held_out)
        gram = terms[kept].T @ terms[kept] + 1e-3 * np.eye(terms.shape[1])
        predicted[held_out] = terms[held_out] @ np.linalg.solve(gram, terms[kept].T @ outputs[kept])
    return predicted
