"""Scores and the choice of words, calculated by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.words.prompt import best_words, make_prompt
from covergen.words.vocabulary import Group, Term, Vocabulary
from covergen.words.zero_shot import attribute_scores, term_vectors, zero_shot_scores


def term(group: str, name: str, **attributes: float) -> Term:
    return Term(
        name=name,
        group=group,
        texts=(f"{name} one", f"{name} two"),
        pictures=(f"{name} first", f"{name} second"),
        attributes=tuple(attributes.items()),
    )


VOCABULARY = Vocabulary(
    groups=(
        Group(
            name="mood",
            take=2,
            medium=False,
            terms=(
                term("mood", "calm", arousal=0.1),
                term("mood", "wild", arousal=0.9, valence=0.5),
                term("mood", "odd"),
            ),
        ),
        Group(
            name="genre",
            take=1,
            medium=True,
            terms=(term("genre", "jazz"), term("genre", "folk", valence=0.8)),
        ),
    )
)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_scores_are_cosines_after_subtracting_both_means() -> None:
    rng = np.random.default_rng(0)
    texts = unit(rng.normal(size=(10, 6)) + 3)
    vector, mean = unit(rng.normal(size=6) - 2), rng.normal(size=6)
    terms = unit(texts.reshape(5, 2, 6).mean(axis=1))
    centered = terms - terms.mean(axis=0)
    expected = [
        np.dot(vector - mean, row) / np.linalg.norm(vector - mean) / np.linalg.norm(row)
        for row in centered
    ]
    found = zero_shot_scores(
        vector.astype(np.float32),
        mean.astype(np.float32),
        term_vectors(VOCABULARY, texts.astype(np.float32)),
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_constant_offset_of_all_texts_changes_little() -> None:
    """What one cone has in common says nothing about the music."""
    rng = np.random.default_rng(1)
    texts, vector = 0.1 * rng.normal(size=(10, 32)), rng.normal(size=32)
    scores = [
        zero_shot_scores(
            vector.astype(np.float32),
            np.zeros(32, np.float32),
            term_vectors(VOCABULARY, unit(texts + offset * unit(rng.normal(size=32)))
                         .astype(np.float32)),
        )
        for offset in (3, 6)
    ]  # fmt: skip
    np.testing.assert_allclose(*scores, atol=0.1)


def test_only_scores_of_the_same_group_are_compared() -> None:
    words = best_words(VOCABULARY, np.array([0.2, 0.9, 0.5, -0.3, -0.2], np.float32))
    assert [word.name for word in words] == ["wild", "odd", "folk"]


def test_attributes_find_the_nearest_words() -> None:
    scores = attribute_scores(VOCABULARY, {"arousal": 0.7, "valence": 0.9})
    np.testing.assert_allclose(scores, [-0.36, -0.1, -np.inf, -np.inf, -0.01], atol=1e-6)
    words = best_words(VOCABULARY, scores)
    assert [word.name for word in words] == ["wild", "calm", "folk"]


def test_prompt_has_a_picture_for_each_word_and_depends_on_the_seed_alone() -> None:
    words = best_words(VOCABULARY, np.array([3, 2, 1, 1, 0], np.float32))
    prompts = {seed: make_prompt(VOCABULARY, words, seed=seed) for seed in range(50)}
    pictures = [{f"{name} first", f"{name} second"} for name in ("calm", "wild", "jazz")]
    for prompt in prompts.values():
        for picture, accepted in zip(prompt.split(", "), pictures, strict=True):
            assert picture in accepted
    assert len(set(prompts.values())) == 8, "every combination of pictures"
    assert prompts == {seed: make_prompt(VOCABULARY, words, seed=seed) for seed in range(50)}


@pytest.mark.parametrize("seed", range(3))
def test_style_comes_first_and_replaces_the_medium(seed: int) -> None:
    words = best_words(VOCABULARY, np.array([3, 2, 1, 1, 0], np.float32))
    alone = make_prompt(VOCABULARY, words, seed=seed).split(", ")
    styled = make_prompt(VOCABULARY, words, seed=seed, style="woodcut, red")
    assert styled == ", ".join(["woodcut, red", *alone[:2]])
