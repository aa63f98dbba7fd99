"""Caption handling for the text encoder: its tokenizer, and random dropping of parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from transformers import CLIPTokenizer

from covergen.starter.recipe.settings import TOKENS

if TYPE_CHECKING:
    import numpy as np

    from covergen.starter.recipe.settings import BaseSettings


_END = "</w>"


def make_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """Return a CLIP tokenizer with one token per known word; other words are spelled out."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1) if not chr(code).isupper()]
    merges = _learn_merges(sorted(set(words)))
    tokens = [
        *letters,
        *(letter + _END for letter in letters),
        *("".join(pair) for pair in merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)


def shorten(caption: str, settings: BaseSettings, rng: np.random.Generator) -> str:
    """Randomly drop some or all parts of a caption.

    This teaches the base to choose what the caption leaves open, as music always does.
    """
    if rng.random() < settings.empty:
        return ""
    dropped = rng.random() if rng.random() < settings.short else 0.1
    return ", ".join(part for part in caption.split(", ") if rng.random() >= dropped)


def _learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Run byte-pair encoding (Sennrich et al. 2016) until every word is one token."""
    spelled = [[*word[:-1], word[-1] + _END] for word in words]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for parts in spelled for pair in pairwise(parts))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_merge(parts, best) for parts in spelled]


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged
