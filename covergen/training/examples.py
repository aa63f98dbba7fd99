"""What an adapter learns from: pairs of an embedding and a picture, and which are held back."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from covergen.core.errors import TrainingError
from covergen.core.seeds import seed_for

__all__ = [
    "Example",
    "Latents",
    "Pairs",
    "fingerprint",
    "is_held",
    "not_finite",
    "split",
    "stack_vectors",
]

Latents: TypeAlias = Callable[[NDArray[np.intp], NDArray[np.float64]], Tensor]
"""The latents of some pairs: from their numbers (B,) and where in 0..1 each is cropped (B,), if it
is cropped at random, to (B, 2, C, h, w) floating point: means and deviations as the VAE gives them,
not scaled."""

_PAIRS_HINT = "A pair is a track and its cover, under the same name."


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A track and its cover. `vector`: (D,) float32; `album`: equal for tracks of one album."""

    stem: str
    image: Path
    vector: NDArray[np.float32]
    album: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Embeddings with latents that are at hand. `vectors`: (N, D) float32."""

    stems: Sequence[str]
    albums: Sequence[str]
    vectors: NDArray[np.float32]
    latents: Latents


def stack_vectors(examples: Sequence[Example]) -> NDArray[np.float32]:
    """Their embeddings: (N, D). Raises TrainingError where they are none, or of several lengths."""
    if not examples:
        raise TrainingError("There is no pair to train on.", hint=_PAIRS_HINT)
    (length, _), *others = Counter(len(example.vector) for example in examples).most_common()
    if others:
        other = [example for example in examples if len(example.vector) != length]
        raise TrainingError(
            f"{len(other)} of {len(examples)} embeddings are not of {length} numbers, as most are: "
            f"that of {other[0].stem} has {len(other[0].vector)}.",
            hint="They come from several CLAP models: embed all of them with the same.",
        )
    return np.stack([example.vector for example in examples], dtype=np.float32)


def not_finite(vectors: NDArray[np.float32]) -> dict[int, str]:
    """Why some of (N, D) embeddings cannot be used, by their numbers."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    return dict.fromkeys(bad.tolist(), "its embedding holds values that are no finite numbers")


def is_held(album: str, share: float, seed: int) -> bool:
    """Whether the pairs of an album are held back, where about `share` of all albums are."""
    return seed_for(f"validation\0{album}", seed) < share * 2**63


def split(
    pairs: Pairs, left_out: Collection[int], *, share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers of the pairs that are trained on, and of those that are held back.

    Whole albums are held back, about `share` of them: which ones depends on each album's key and
    the seed alone, not on what else there is. Raises TrainingError where none is left to train on.
    """
    usable = [i for i in range(len(pairs.stems)) if i not in left_out]
    held = {album: is_held(album, share, seed) for album in {pairs.albums[i] for i in usable}}
    training = [i for i in usable if not held[pairs.albums[i]]]
    validation = [i for i in usable if held[pairs.albums[i]]]
    if not training:
        raise TrainingError(
            f"Of {len(pairs.stems)} pairs {len(left_out)} cannot be used and {len(validation)} are "
            "held back for validation: none is left to train on.",
            hint="With --validation 0 none is held back." if validation else _PAIRS_HINT,
        )
    return np.array(training, dtype=np.intp), np.array(validation, dtype=np.intp)


def fingerprint(pairs: Pairs, numbers: NDArray[np.intp]) -> str:
    """Of the stems, albums and embeddings of these pairs, in hexadecimal."""
    named = [(pairs.stems[i], pairs.albums[i]) for i in numbers.tolist()]
    digest = hashlib.blake2b(repr(named).encode(errors="surrogatepass"), digest_size=16)
    digest.update(pairs.vectors[numbers].astype("<f4").tobytes())
    return digest.hexdigest()
