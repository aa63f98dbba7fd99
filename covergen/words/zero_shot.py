"""Score the terms of a vocabulary for a piece of music: (T,) float32, higher is better.

Zero-shot classification as in CLAP (Wu et al. 2023, arXiv 2211.06687), but with the means of both
kinds of embeddings subtracted: audio and text lie in different cones (Liang et al. 2022, arXiv
2203.02053), so that without this, the same few terms are the closest ones to all music.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.words.vocabulary import Vocabulary


def term_vectors(vocabulary: Vocabulary, texts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the embeddings of each term's texts and subtract the mean over all terms.

    texts: (N, D) unit L2 norm, for the texts of all terms in order. Returns (T, D) float32, unit L2
    norm.
    """
    counts = [len(term.texts) for term in vocabulary.terms]
    parts = np.split(texts.astype(np.float64), np.cumsum(counts)[:-1])
    terms = np.stack([_unit(part.mean(axis=0)) for part in parts])
    return _unit(terms - terms.mean(axis=0)).astype(np.float32)


def zero_shot_scores(
    vector: NDArray[np.float32], audio_mean: NDArray[np.float32], terms: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the cosines of the centered music with the centered terms.

    vector: (D,), unit L2 norm; audio_mean: (D,), the mean embedding of music; terms: (T, D), as
    returned by `term_vectors`.
    """
    centered = _unit(vector.astype(np.float64) - audio_mean)
    return np.asarray(terms @ centered, np.float32)


def attribute_scores(
    vocabulary: Vocabulary, attributes: Mapping[str, float]
) -> NDArray[np.float32]:
    """Return how close the terms are to the attributes of the music, each 0 to 1.

    The negative mean squared difference of the attributes that a term has; -inf if it has none.
    """
    return np.array(
        [
            -np.mean([(attributes[name] - at) ** 2 for name, at in term.attributes])
            if term.attributes
            else -np.inf
            for term in vocabulary.terms
        ],
        np.float32,
    )


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale the last axis to unit L2 norm; zeros stay zero."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1))
