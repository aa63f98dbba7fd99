"""Fit the poster model's probe from the audio encoder's embeddings to music attributes."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.attributes import Attributes
from covergen.poster.model import MoodProbe
from covergen.starter.recipe.dataset import load_attributes
from covergen.starter.recipe.embeddings import embed_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.recipe.dataset import Split
    from covergen.starter.recipe.run_folder import RunFolder


_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
_NAMES = tuple(field.name for field in fields(Attributes))


def fit_mood(run: RunFolder) -> bool:
    """Write export/mood.safetensors, and its accuracy to mood.json. Return True.

    The ridge is chosen on an eighth of the training tracks. The accuracy is the squared
    correlation on the validation tracks, which are played on held-out instruments.
    """
    vectors, attributes = _excerpts(run, "train")
    kept = len(vectors) // 8 * 7
    ridge = max(
        _RIDGES,
        key=lambda ridge: _accuracy(
            MoodProbe.fit(vectors[:kept], attributes[:kept], ridge=ridge),
            vectors[kept:],
            attributes[kept:],
        ).mean(),
    )
    probe = MoodProbe.fit(vectors, attributes, ridge=ridge)
    accuracy = _accuracy(probe, *_excerpts(run, "validation"))
    (run.folder / "export" / "mood.safetensors").write_bytes(probe.to_bytes())
    metrics = {name: round(float(r2), 2) for name, r2 in zip(_NAMES, accuracy, strict=True)}
    (run.folder / "mood.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return True


def _excerpts(run: RunFolder, split: Split) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return every excerpt's embedding, (N, d), and its track's attributes, (N, 11)."""
    vectors = embed_split(run, split)
    count, excerpts, width = vectors.shape
    attributes = load_attributes(run.recipe.dataset, split, count)
    return vectors.reshape(count * excerpts, width), attributes.repeat(excerpts, axis=0)


def _accuracy(
    probe: MoodProbe, vectors: NDArray[np.float32], attributes: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the squared correlation of each attribute with the probe's output, (11,)."""
    predicted = vectors @ probe.weight.T + probe.bias
    return np.array([np.corrcoef(predicted[:, k], attributes[:, k])[0, 1] ** 2 for k in range(11)])
