"""Check a dataset for training by decoding every picture, audio file and embedding."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.windows import read_excerpt
from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason
from covergen.datasets.embeddings import read_embedding
from covergen.datasets.folder import Problem
from covergen.datasets.image_files import decode_picture

if TYPE_CHECKING:
    from covergen.datasets.folder import Pair


REMARKS = frozenset(
    {Reason.SMALL_COVER, Reason.NOT_SQUARE, Reason.SHARED_COVER, Reason.LONG_CAPTION}
)
"""Warnings that do not exclude a pair from training."""

_MIN_SIDE = 256  # pixels
_MAX_ASPECT_RATIO = 1.1  # a crop to a square then loses little
_MAX_TOKENS = 75  # of CLIP's text encoders, without those that begin and end a text
# What CLIP's tokenizer splits a text into at first: each part becomes a token or several.
_TOKEN_PARTS = re.compile(r"[^\W\d_]+|\d|[^\s\w]+|_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A pair with the problems of its files. `usable`: it can be trained on despite them.

    `picture` is a hash of the cover file; `length` is the embedding's D, or None.
    """

    pair: Pair
    usable: bool
    problems: tuple[Problem, ...]
    picture: bytes
    length: int | None


def examine(
    pairs: Iterable[Pair], *, workers: int, check_interrupted: Callable[[], None]
) -> Generator[Examined]:
    """Examine pairs in `workers` threads, in order. Raises whatever `check_interrupted` raises."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="check")
    covers: dict[bytes, dict[str, Pair]] = {}  # by picture, then by album
    try:
        for examined in pool.map(_examine, pairs):
            check_interrupted()
            yield replace(examined, problems=_problems_with_cover_once(examined, covers))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _problems_with_cover_once(
    examined: Examined, covers: dict[bytes, dict[str, Pair]]
) -> tuple[Problem, ...]:
    """Return the problems of a pair; those of a cover only for the first pair of its album."""
    pair = examined.pair
    owners = covers.setdefault(examined.picture, {})
    if pair.album in owners:
        return tuple(problem for problem in examined.problems if problem.path != pair.image)
    others = [other.image.name for other in owners.values()]
    owners[pair.album] = pair
    if not others:
        return examined.problems
    shared = _problem(pair.image, Reason.SHARED_COVER, f"identical to {others[0]}")
    return (*examined.problems, shared)


@dataclass(slots=True)
class Health:
    """The totals of an examination."""

    pairs: int = 0
    usable: int = 0
    with_audio: int = 0
    with_embedding: int = 0
    with_caption: int = 0
    albums: set[str] = field(default_factory=set)
    pictures: set[bytes] = field(default_factory=set)
    lengths: Counter[int] = field(default_factory=Counter)
    problems: Counter[Reason] = field(default_factory=Counter)

    def add(self, item: Examined | Problem) -> None:
        """Count a pair, or the problem of an unpaired file."""
        if isinstance(item, Problem):
            self.problems[item.reason] += 1
            return
        self.pairs += 1
        self.problems.update(problem.reason for problem in item.problems)
        if item.usable:
            self.usable += 1
            self.with_audio += item.pair.audio is not None
            self.with_embedding += item.length is not None
            self.with_caption += bool(item.pair.caption)
            self.albums.add(item.pair.album)
            self.pictures.add(item.picture)
            if item.length is not None:
                self.lengths[item.length] += 1

    @property
    def obstacle(self) -> str:
        """The reason why the dataset cannot be trained on, or ""."""
        if not self.usable:
            return "it has no complete pair"
        if len(self.lengths) > 1:
            found = ", ".join(
                f"{n} of length {length}" for length, n in sorted(self.lengths.items())
            )
            return f"its embeddings differ in length: {found}"
        return ""


def _examine(pair: Pair) -> Examined:
    picture, problems = _check_picture(pair.image)
    picture_usable = all(problem.reason in REMARKS for problem in problems)
    length, embedding_problem = _check_embedding(pair.embedding)
    audio_problem = _check_audio(pair.audio)
    music_usable = length is not None or (pair.audio is not None and audio_problem is None)
    problems += filter(None, (embedding_problem, audio_problem, _check_caption(pair)))
    return Examined(
        pair=pair,
        usable=picture_usable and music_usable,
        problems=tuple(problems),
        picture=picture,
        length=length,
    )


def _check_picture(image: Path) -> tuple[bytes, list[Problem]]:
    """Return a hash of a picture, and its problems."""
    data = b""
    try:
        data = image.read_bytes()
        width, height = decode_picture(data)
    except OSError as error:
        problems = [_problem(image, Reason.UNREADABLE, error.strerror or f"{error}")]
    except ValueError as error:
        problems = [_problem(image, Reason.UNREADABLE, f"{error}")]
    else:
        size = f"{width} × {height} pixels"
        problems = []
        if min(width, height) < _MIN_SIDE:
            problems.append(_problem(image, Reason.SMALL_COVER, size))
        if max(width, height) > _MAX_ASPECT_RATIO * min(width, height):
            problems.append(_problem(image, Reason.NOT_SQUARE, size))
    return hashlib.blake2b(data).digest(), problems


def _check_audio(audio: Path | None) -> Problem | None:
    """Decode ten seconds from the middle; return the problem, if any."""
    try:
        if audio is not None:
            read_excerpt(audio, windows=1).decode()
    except DecodeError as error:
        return _problem(error.path, error.reason, error.message)
    return None


def _check_caption(pair: Pair) -> Problem | None:
    """Report a caption that has too many tokens, as far as that shows without a tokenizer."""
    least = len(_TOKEN_PARTS.findall(pair.caption))
    if least <= _MAX_TOKENS:
        return None
    message = f"its caption has at least {least} tokens: training uses the first {_MAX_TOKENS}"
    return _problem(pair.image, Reason.LONG_CAPTION, message)


def _check_embedding(embedding: Path | None) -> tuple[int | None, Problem | None]:
    """Return the length of an embedding, or its problem."""
    try:
        return (None if embedding is None else read_embedding(embedding).size), None
    except DecodeError as error:
        return None, _problem(error.path, error.reason, error.message)


def _problem(path: Path, reason: Reason, message: str) -> Problem:
    return Problem(path=path, reason=reason, message=message)
