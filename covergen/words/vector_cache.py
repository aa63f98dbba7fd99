"""Keep a CLAP model's vectors for a vocabulary in the cache, so that they are computed once."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from covergen.core.app_folders import cache_folder
from covergen.core.atomic_write import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.words.vocabulary import Vocabulary


# Increment whenever the vectors are computed differently.
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WordVectors:
    """What zero-shot scores need. terms: (T, D); audio_mean: (D,); both float32."""

    terms: NDArray[np.float32]
    audio_mean: NDArray[np.float32]


def words_folder() -> Path:
    """Return the folder of the cached vectors, which need not exist."""
    return cache_folder() / "words"


def find_vectors(vocabulary: Vocabulary, audio_encoder: str) -> WordVectors | None:
    """Return the cached vectors for an audio encoder's id, None if there are none."""
    try:
        tensors = load(_file(vocabulary, audio_encoder).read_bytes())
        vectors = WordVectors(terms=tensors["terms"], audio_mean=tensors["audio_mean"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    fits = vectors.terms.shape == (len(vocabulary.terms), *vectors.audio_mean.shape)
    finite = np.isfinite(vectors.terms).all() and np.isfinite(vectors.audio_mean).all()
    return vectors if fits and finite else None


def save_vectors(vocabulary: Vocabulary, audio_encoder: str, vectors: WordVectors) -> None:
    """Cache the vectors; without a usable cache, they are computed again."""
    file = _file(vocabulary, audio_encoder)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, save({"terms": vectors.terms, "audio_mean": vectors.audio_mean}))


def _file(vocabulary: Vocabulary, audio_encoder: str) -> Path:
    texts = [term.texts for term in vocabulary.terms]
    key = repr((_VERSION, audio_encoder, texts)).encode()
    name = hashlib.blake2b(key, digest_size=16).hexdigest()
    return words_folder() / f"{name}.safetensors"
