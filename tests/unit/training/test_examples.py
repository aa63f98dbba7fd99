"""The validation split, and checks of the training pairs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from covergen.core.errors import TrainingError
from covergen.training.data.examples import Example, Pairs, fingerprint, split, stack_vectors
from covergen.training.data.latents import from_array

ALBUMS = [f"album {i % 300}" for i in range(1200)]


def make_pairs(albums: Sequence[str], *, seed: int = 0) -> Pairs:
    vectors = np.random.default_rng(seed).standard_normal((len(albums), 4)).astype(np.float32)
    stems = [f"track {i}" for i in range(len(albums))]
    return Pairs(stems=stems, albums=albums, vectors=vectors, latents=from_array(torch.zeros(1)))


def validation_albums(albums: Sequence[str], *, share: float = 0.2, seed: int = 0) -> set[str]:
    training, validation = split(make_pairs(albums), (), share=share, seed=seed)
    assert sorted([*training, *validation]) == list(range(len(albums)))
    held_out = {albums[i] for i in validation}
    assert not held_out & {albums[i] for i in training}
    return held_out


def test_split_holds_out_whole_albums_independent_of_other_albums() -> None:
    held_out = validation_albums(ALBUMS)
    assert 0.15 < len(held_out) / 300 < 0.25
    fewer = ALBUMS[::-1][:100]
    assert validation_albums(fewer) == held_out & set(fewer)
    assert validation_albums(ALBUMS, seed=1) != held_out
    assert held_out < validation_albums(ALBUMS, share=0.4)
    assert not validation_albums(ALBUMS, share=0.0)


def test_split_fails_if_no_training_pairs_remain() -> None:
    pairs = make_pairs(["a", "b"])
    with pytest.raises(TrainingError, match="of 2, 2 cannot be used"):
        split(pairs, {0, 1}, share=0.0, seed=0)
    with pytest.raises(TrainingError, match="2 are held out") as caught:
        split(pairs, (), share=0.9999, seed=0)
    assert "--validation 0" in caught.value.hint


def make_example(stem: str, length: int) -> Example:
    return Example(stem=stem, image=Path(), vector=np.zeros(length, np.float32), album="")


def test_embeddings_must_have_the_same_length() -> None:
    found = stack_vectors([make_example("a", 512), make_example("b", 512)])
    assert found.shape == (2, 512)
    with pytest.raises(TrainingError) as caught:
        stack_vectors([make_example(stem, n) for stem, n in (("a", 512), ("b", 768), ("c", 512))])
    assert caught.value.message == (
        "1 of 3 embeddings do not have 512 values like the others: b has 768."
    )
    with pytest.raises(TrainingError, match="no pairs"):
        stack_vectors([])


def test_fingerprint_depends_on_all_training_data() -> None:
    indices = np.arange(3)
    found = fingerprint(make_pairs(["a", "b", "c"]), indices)
    assert found == fingerprint(make_pairs(["a", "b", "c"]), indices)
    assert found != fingerprint(make_pairs(["a", "b", "d"]), indices)
    assert found != fingerprint(make_pairs(["a", "b", "c"], seed=1), indices)
    assert found != fingerprint(make_pairs(["a", "b", "c"]), indices[:2])
    captioned = replace(make_pairs(["a", "b", "c"]), captions=["clay"] * 3)
    assert found != fingerprint(captioned, indices)
