"""Which pairs are held back, and what is said of those that cannot be used."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from covergen.core.errors import TrainingError
from covergen.training.examples import Example, Pairs, fingerprint, split, stack_vectors
from covergen.training.latents import from_array


def make_pairs(albums: Sequence[str], *, seed: int = 0) -> Pairs:
    vectors = np.random.default_rng(seed).standard_normal((len(albums), 4)).astype(np.float32)
    stems = [f"track {i}" for i in range(len(albums))]
    return Pairs(stems=stems, albums=albums, vectors=vectors, latents=from_array(torch.zeros(1)))


ALBUMS = [f"album {i % 300}" for i in range(1200)]


def test_no_album_is_on_both_sides() -> None:
    training, held = split(make_pairs(ALBUMS), (), share=0.2, seed=0)
    assert sorted([*training, *held]) == list(range(1200))
    assert not {ALBUMS[i] for i in training} & {ALBUMS[i] for i in held}
    assert 0.15 < len(held) / 1200 < 0.25


def test_an_albums_side_is_its_own() -> None:
    """Neither order nor company changes it; the seed does."""
    _, held = split(make_pairs(ALBUMS), (), share=0.2, seed=0)
    sides = {ALBUMS[i] for i in held}
    fewer = ALBUMS[::-1][:100]
    _, again = split(make_pairs(fewer), (), share=0.2, seed=0)
    assert {fewer[i] for i in again} == sides & set(fewer)
    _, other = split(make_pairs(ALBUMS), (), share=0.2, seed=1)
    assert {ALBUMS[i] for i in other} != sides
    _, more = split(make_pairs(ALBUMS), (), share=0.4, seed=0)
    assert sides < {ALBUMS[i] for i in more}


def test_nothing_is_held_back_without_a_share() -> None:
    assert len(split(make_pairs(ALBUMS), (), share=0.0, seed=0)[1]) == 0


def test_none_left() -> None:
    with pytest.raises(TrainingError, match="Of 2 pairs 2 cannot be used"):
        split(make_pairs(["a", "b"]), {0, 1}, share=0.0, seed=0)


def test_all_albums_held_back() -> None:
    """A few albums may all be on the side of validation: how to go on is said."""
    with pytest.raises(TrainingError, match="2 are held back") as caught:
        split(make_pairs(["a", "b"]), (), share=0.9999, seed=0)
    assert "--validation 0" in caught.value.hint


def make_example(stem: str, length: int) -> Example:
    return Example(stem=stem, image=Path(), vector=np.zeros(length, np.float32), album="")


def test_embeddings_of_one_length() -> None:
    found = stack_vectors([make_example("a", 512), make_example("b", 512)])
    assert found.shape == (2, 512)
    with pytest.raises(TrainingError) as caught:
        stack_vectors([make_example(stem, n) for stem, n in (("a", 512), ("b", 768), ("c", 512))])
    assert caught.value.message == (
        "1 of 3 embeddings are not of 512 numbers, as most are: that of b has 768."
    )
    with pytest.raises(TrainingError, match="no pair"):
        stack_vectors([])


def test_the_fingerprint_is_of_all_that_is_trained_on() -> None:
    numbers = np.arange(3)
    found = fingerprint(make_pairs(["a", "b", "c"]), numbers)
    assert found == fingerprint(make_pairs(["a", "b", "c"]), numbers)
    assert found != fingerprint(make_pairs(["a", "b", "d"]), numbers)
    assert found != fingerprint(make_pairs(["a", "b", "c"], seed=1), numbers)
    assert found != fingerprint(make_pairs(["a", "b", "c"]), numbers[:2])
