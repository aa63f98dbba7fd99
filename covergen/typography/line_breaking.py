"""Break a title into lines of similar length, where a reader would pause."""

# ruff: noqa: RUF001 - quotation marks and brackets of many languages

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from covergen.gallery.lettering import clusters

_MOST_UNITS = 150  # more never fit
# What belongs to the number or letter that follows it: "No. 9", "Op. 125", "BWV 988".
_BEFORE_NUMBER = re.compile(
    r"[(\[„“«\"']*(?:no|nos|nr|op|opp|vol|pt|part|book|act|disc|cd|bwv|kv?|rv|hwv|hob|wq|d|s|sz|woo"
    r"|№|chapter|volume|opus)\.?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]|[ivxlc]+\b", re.IGNORECASE)
_KEY = re.compile(r"(?:major|minor|sharp|flat|moll|dur)\b", re.IGNORECASE)
_DASHES = frozenset("-–—/|&+·•~=:")
_HYPHENS = frozenset("-‐–—/")
_WEAK = frozenset(
    re.findall(
        r"\S+",
        "a an the of in on at to and or for from with by & + der die das den dem des und von vom zu"
        " zur im am le la les du de et un une en el los las y e o il lo gli di da del della i op",
    )
)
# Characters that begin or end no line (JLREQ, sections 3.1.7 and 3.1.8).
_NOT_FIRST = frozenset(
    "、。，．・：；？！゛゜ヽヾゝゞ々ー’”）〕］｝〉》」』】゠–〜ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ%％…"
)
_NOT_LAST = frozenset("‘“（〔［｛〈《「『【")
_WEAK_END, _PAUSE = 1.35, 0.88  # factors of a line's cost
_PAUSES = frozenset(",;:.!?)]）」』–—")


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of text that is not broken. `space`: a space separates it from the next one."""

    text: str
    space: bool


def units(text: str) -> list[Unit]:
    """Split a title into what stays on one line."""
    words = _glued(text.split())
    found = []
    for word in words:
        parts = list(_parts(word))
        found += [Unit(part, False) for part in parts[:-1]] + [Unit(parts[-1], True)]
    return found[:_MOST_UNITS]


def joined(pieces: Sequence[Unit]) -> str:
    """Return the text of consecutive units."""
    return "".join(unit.text + (" " if unit.space else "") for unit in pieces).strip()


def balanced(pieces: Sequence[Unit], count: int, width_of: Callable[[str], float]) -> list[str]:
    """Break the units into `count` lines, as even as possible, at pauses rather than after "of".

    The sum of the lines' squared widths is minimized.
    """
    if count == 1 or len(pieces) <= count:
        return [joined(pieces)] if count == 1 else [unit.text for unit in pieces]
    ends = list(
        accumulate((width_of(unit.text + " " * unit.space) for unit in pieces), initial=0.0)
    )
    unreached: list[tuple[float, tuple[int, ...]]] = [(float("inf"), ())] * len(pieces)
    best = [(0.0, ()), *unreached]  # by the number of units used
    for line in range(1, count + 1):
        following = [(float("inf"), ()), *unreached]
        for end in range(line, len(pieces) + 1):
            cost = _cost(pieces[end - 1]) if end < len(pieces) else 1.0
            following[end] = min(
                (best[start][0] + cost * (ends[end] - ends[start]) ** 2, (*best[start][1], end))
                for start in range(line - 1, end)
            )
        best = following
    starts = (0, *best[-1][1][:-1])
    return [joined(pieces[start:end]) for start, end in zip(starts, best[-1][1], strict=True)]


def filled(
    pieces: Sequence[Unit], most: int, width: float, width_of: Callable[[str], float]
) -> list[str]:
    """Fill at most `most` lines of `width`, ending in an ellipsis if there is more."""
    small = [part for unit in pieces for part in _split(unit, width, width_of)]
    lines = list(_greedy(small, width, width_of))
    if len(lines) <= most:
        return [joined(line) for line in lines]
    kept = lines[: most - 1]
    last = list(lines[most - 1])
    while last and width_of(_cut_off(last)) > width:
        last.pop()
    return [*map(joined, kept), _cut_off(last)]


def _glued(words: Sequence[str]) -> Iterator[str]:
    """Join words that belong together by a space that is not broken."""
    glued = ""
    for word in words:
        if glued and _belongs(glued.rpartition(" ")[2], word):
            glued += " " + word
            continue
        if glued:
            yield glued
        glued = word
    if glued:
        yield glued


def _belongs(word: str, following: str) -> bool:
    if all(character in _DASHES for character in following):  # no line begins with a dash
        return True
    if _BEFORE_NUMBER.fullmatch(word) and _NUMBER.match(following):
        return True
    return len(word.strip("♯♭#b")) <= 1 and _KEY.match(following) is not None


def _parts(word: str) -> Iterator[str]:
    """Split a word after hyphens, and between ideographs."""
    part = ""
    pieces = list(clusters(word))
    for index, cluster in enumerate(pieces):
        part += cluster
        following = pieces[index + 1] if index + 1 < len(pieces) else ""
        if following and _may_break(part, cluster, following):
            yield part
            part = ""
    yield part


def _may_break(part: str, before: str, after: str) -> bool:
    if before in _HYPHENS:
        return len(part) > 2 and after.isalpha()
    if after in _NOT_FIRST or before in _NOT_LAST:
        return False
    return _is_ideographic(before) or _is_ideographic(after)


def _is_ideographic(cluster: str) -> bool:
    name = unicodedata.name(cluster[0], "")
    return name.startswith(("CJK ", "HIRAGANA ", "KATAKANA ", "IDEOGRAPHIC "))


def _cost(unit: Unit) -> float:
    word = unit.text.rpartition(" ")[2]
    if word.lower() in _WEAK:
        return _WEAK_END
    return _PAUSE if word[-1] in _PAUSES else 1.0


def _split(unit: Unit, width: float, width_of: Callable[[str], float]) -> Iterator[Unit]:
    """Split a unit that is wider than a line anywhere."""
    if width_of(unit.text) <= width:
        yield unit
        return
    *first, last = clusters(unit.text)
    yield from (Unit(cluster, False) for cluster in first)
    yield Unit(last, unit.space)


def _greedy(
    pieces: Iterable[Unit], width: float, width_of: Callable[[str], float]
) -> Iterator[list[Unit]]:
    line: list[Unit] = []
    for unit in pieces:
        if line and width_of(joined([*line, unit])) > width:
            yield line
            line = []
        line.append(unit)
    if line:
        yield line


def _cut_off(pieces: Sequence[Unit]) -> str:
    return joined(pieces).rstrip(" ,;:.–—-(&") + "…"
