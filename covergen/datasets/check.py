"""Can a dataset be trained on? Every picture, sound and embedding of it is really decoded."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from covergen.audio.windows import read_excerpt
from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason
from covergen.datasets.embeddings import read_embedding
from covergen.datasets.folder import Problem
from covergen.datasets.pictures import decode_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from covergen.datasets.folder import Pair

__all__ = ["REMARKS", "Examined", "Health", "examine"]

REMARKS = frozenset({Reason.SMALL_COVER, Reason.NOT_SQUARE, Reason.SHARED_COVER})
"""What is worth a look, and keeps no pair from being trained on."""

_SMALLEST_SIDE = 256  # pixels
_MOST_UNEQUAL = 1.1  # of the longer side to the shorter: less is lost in a crop unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A pair with what is the matter with its files. `usable`: it can be trained on all the same.

    `picture` is a hash of the cover's bytes; `length` is the embedding's D, None without one.
    """

    pair: Pair
    usable: bool
    problems: tuple[Problem, ...]
    picture: bytes
    length: int | None


def examine(
    pairs: Iterable[Pair], *, workers: int, checkpoint: Callable[[], None]
) -> Generator[Examined]:
    """Look at each pair, in their order, in as many threads. Raises what `checkpoint` raises."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="check")
    covers: dict[bytes, dict[str, Pair]] = {}  # by picture, then by album
    try:
        for examined in pool.map(_examine, pairs):
            checkpoint()
            yield replace(examined, problems=_told_once(examined, covers))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _told_once(examined: Examined, covers: dict[bytes, dict[str, Pair]]) -> tuple[Problem, ...]:
    """The problems of a pair, without those of a cover that another of its album had, too."""
    pair = examined.pair
    owners = covers.setdefault(examined.picture, {})
    if pair.album in owners:
        return tuple(problem for problem in examined.problems if problem.path != pair.image)
    others = [other.image.name for other in owners.values()]
    owners[pair.album] = pair
    if not others:
        return examined.problems
    shared = _problem(pair.image, Reason.SHARED_COVER, f"the very same as {others[0]}")
    return (*examined.problems, shared)


@dataclass(slots=True)
class Health:
    """What an examination adds up to."""

    pairs: int = 0
    usable: int = 0
    with_audio: int = 0
    with_embedding: int = 0
    albums: set[str] = field(default_factory=set)
    pictures: set[bytes] = field(default_factory=set)
    lengths: Counter[int] = field(default_factory=Counter)
    problems: Counter[Reason] = field(default_factory=Counter)

    def add(self, item: Examined | Problem) -> None:
        """Count a pair, or a file that is in none. What is usable alone counts as music."""
        if isinstance(item, Problem):
            self.problems[item.reason] += 1
            return
        self.pairs += 1
        self.problems.update(problem.reason for problem in item.problems)
        if item.usable:
            self.usable += 1
            self.with_audio += item.pair.audio is not None
            self.with_embedding += item.length is not None
            self.albums.add(item.pair.album)
            self.pictures.add(item.picture)
            if item.length is not None:
                self.lengths[item.length] += 1

    @property
    def obstacle(self) -> str:
        """Why it cannot be trained on, "" where it can."""
        if not self.usable:
            return "there is no pair that is whole"
        if len(self.lengths) > 1:
            found = ", ".join(
                f"{n} of length {length}" for length, n in sorted(self.lengths.items())
            )
            return f"its embeddings are of several kinds: {found}"
        return ""


def _examine(pair: Pair) -> Examined:
    picture, problems = _look(pair.image)
    seen = all(problem.reason in REMARKS for problem in problems)
    length, unread = _read_length(pair.embedding)
    unheard = _listen(pair.audio)
    heard = length is not None or (pair.audio is not None and unheard is None)
    problems += filter(None, (unread, unheard))
    return Examined(
        pair=pair, usable=seen and heard, problems=tuple(problems), picture=picture, length=length
    )


def _look(image: Path) -> tuple[bytes, list[Problem]]:
    """A hash of a picture, and what is the matter with it."""
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
        if min(width, height) < _SMALLEST_SIDE:
            problems.append(_problem(image, Reason.SMALL_COVER, size))
        if max(width, height) > _MOST_UNEQUAL * min(width, height):
            problems.append(_problem(image, Reason.NOT_SQUARE, size))
    return hashlib.blake2b(data).digest(), problems


def _listen(audio: Path | None) -> Problem | None:
    """What is the matter with a sound: ten seconds in its midst are decoded."""
    try:
        if audio is not None:
            read_excerpt(audio, windows=1).decode()
    except DecodeError as error:
        return _problem(error.path, error.reason, error.message)
    return None


def _read_length(embedding: Path | None) -> tuple[int | None, Problem | None]:
    """The length of an embedding, or what is the matter with it."""
    try:
        return (None if embedding is None else read_embedding(embedding).size), None
    except DecodeError as error:
        return None, _problem(error.path, error.reason, error.message)


def _problem(path: Path, reason: Reason, message: str) -> Problem:
    return Problem(path=path, reason=reason, message=message)
