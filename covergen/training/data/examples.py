"""Training pairs of an embedding and a picture, and their split for validation."""

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

Latents: TypeAlias = Callable[[NDArray[np.intp], NDArray[np.float64]], Tensor]
"""Return the latents of pairs, given their indices (B,) and crop positions (B,) in [0, 1), which
matter only for random crops: (B, 2, C, h, w) floating point, the VAE's unscaled means and standard
deviations."""

_PAIRS_HINT = "A pair is a track and a cover with the same file name."


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A track and its cover. `vector`: (D,) float32. `album`: equal for tracks of one album.

    `caption`: what the cover shows in words, or "".
    """

    stem: str
    image: Path
    vector: NDArray[np.float32]
    album: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Embeddings with their latents. `vectors`: (N, D) float32. `captions`: N, or none at all."""

    stems: Sequence[str]
    albums: Sequence[str]
    vectors: NDArray[np.float32]
    latents: Latents
    captions: Sequence[str] = ()


def stack_vectors(examples: Sequence[Example]) -> NDArray[np.float32]:
    """Stack embeddings to (N, D). Raises TrainingError if there are none or lengths differ."""
    if not examples:
        raise TrainingError("There are no pairs to train on.", hint=_PAIRS_HINT)
    (length, _), *others = Counter(len(example.vector) for example in examples).most_common()
    if others:
        other = [example for example in examples if len(example.vector) != length]
        raise TrainingError(
            f"{len(other)} of {len(examples)} embeddings do not have {length} values like the "
            f"others: {other[0].stem} has {len(other[0].vector)}.",
            hint="They come from different CLAP models. Embed all tracks with the same model.",
        )
    return np.stack([example.vector for example in examples], dtype=np.float32)


def not_finite(vectors: NDArray[np.float32]) -> dict[int, str]:
    """Map the index of each unusable embedding of (N, D) to the reason."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    return dict.fromkeys(bad.tolist(), "its embedding contains NaN or infinite values")


def is_held(album: str, share: float, seed: int) -> bool:
    """Whether an album belongs to the validation set, which gets about `share` of all albums."""
    return seed_for(f"validation\0{album}", seed) < share * 2**63


def split(
    pairs: Pairs, left_out: Collection[int], *, share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the training pairs and of the validation pairs.

    About `share` of the albums are held out as a whole. The choice depends only on the album's key
    and the seed, not on the other albums. Raises TrainingError if no pair is left to train on.
    """
    usable = [i for i in range(len(pairs.stems)) if i not in left_out]
    held_out = {album: is_held(album, share, seed) for album in {pairs.albums[i] for i in usable}}
    training = [i for i in usable if not held_out[pairs.albums[i]]]
    validation = [i for i in usable if held_out[pairs.albums[i]]]
    if not training:
        raise TrainingError(
            f"No pairs are left to train on: of {len(pairs.stems)}, {len(left_out)} cannot be used "
            f"and {len(validation)} are held out for validation.",
            hint="Use --validation 0 to train on all pairs." if validation else _PAIRS_HINT,
        )
    return np.array(training, dtype=np.intp), np.array(validation, dtype=np.intp)


def fingerprint(pairs: Pairs, indices: NDArray[np.intp]) -> str:
    """Hash the stems, albums, captions and embeddings of the pairs at `indices`, in hexadecimal."""
    named = [(pairs.stems[i], pairs.albums[i]) for i in indices.tolist()]
    captions = [pairs.captions[i] for i in indices.tolist()] if any(pairs.captions) else []
    text = repr(named) + (repr(captions) if captions else "")
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16)
    digest.update(pairs.vectors[indices].astype("<f4").tobytes())
    return digest.hexdigest()
