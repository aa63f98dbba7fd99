"""Choose the best words of a vocabulary by their scores, and make a prompt of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.seeds import seed_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.words.vocabulary import Term, Vocabulary


def best_words(vocabulary: Vocabulary, scores: NDArray[np.float32]) -> tuple[Term, ...]:
    """Return the best terms of each group, best first; an infinitely bad one is never chosen.

    scores: (T,), in the order of `vocabulary.terms`. Only scores of the same group are compared,
    since groups differ in how well CLAP hears them.
    """
    chosen: list[Term] = []
    start = 0
    for group in vocabulary.groups:
        own = scores[start : start + len(group.terms)]
        start += len(group.terms)
        order = np.argsort(-own, kind="stable")[: group.take]
        chosen += [group.terms[i] for i in order if np.isfinite(own[i])]
    return tuple(chosen)


def make_prompt(
    vocabulary: Vocabulary, words: Sequence[Term], *, seed: int, style: str = ""
) -> str:
    """Return the style and a picture for each word, separated by commas.

    Each word has several pictures, and the seed chooses one, so that covers of the same music
    differ. A style comes first, since a text encoder cuts off what is too long, and takes the place
    of the words for a medium.
    """
    media = {group.name for group in vocabulary.groups if group.medium}
    pictures = [
        word.pictures[seed_for(f"{word.group}\0{word.name}", seed) % len(word.pictures)]
        for word in words
        if not (style and word.group in media)
    ]
    return ", ".join(filter(None, (style, *pictures)))
