"""Draw a line of text in any script with the installed fonts, never as missing-glyph boxes.

Each character is drawn with the first font that has it. Characters that no font has are
transliterated to ASCII; so are right-to-left scripts if Pillow lacks libraqm. Han characters are
replaced by an ellipsis instead, because their reading depends on the language.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from anyascii import anyascii
from PIL import features

from covergen.gallery.fonts import BUILT_IN, font_folders, read_faces

if TYPE_CHECKING:
    from PIL import Image

    from covergen.gallery.fonts import Face


_MAX_CHARACTERS = 300  # more would never fit
_MEASURED = 100  # pixels per em
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class _Run:
    """A piece of text drawn with one font."""

    text: str
    face: Face


class Lettering:
    """Draws lines of text. `faces`, in order of preference, default to the installed fonts.

    Thread-safe.
    """

    def __init__(self, faces: Iterable[Face] | None = None) -> None:
        self._unread = iter(read_faces(font_folders()) if faces is None else faces)
        self._read: list[Face] = []
        self._face_cache: dict[str, Face | None] = {}
        self._can_shape = features.check("raqm")
        self._one_reads = Lock()

    def draw(
        self,
        image: Image.Image,
        position: tuple[int, int],
        text: str,
        *,
        size: int,
        width: int | None = None,
        color: str,
        weight: int | None = None,
    ) -> None:
        """Draw `text` with the left end of its baseline at `position`.

        Text wider than `width` ends in an ellipsis. `size` and `width` are in pixels. `weight`
        applies to variable fonts.
        """
        runs = self._fitting_runs(list(clusters(cleaned(text))), size, width)
        x, y = float(position[0]), position[1]
        for run in _in_order(runs):
            run.face.draw(image, (round(x), y), run.text, size, color, weight)
            x += run.face.width(run.text, size, weight)

    def bounds(
        self, text: str, size: int, weight: int | None = None
    ) -> tuple[float, float, float, float]:
        """Return the left, top, right and bottom of a drawn line, from its baseline's left end."""
        start, boxes = 0.0, []
        for run in _in_order(self._runs(clusters(cleaned(text)))):
            left, top, right, bottom = run.face.bounds(run.text, size, weight)
            boxes.append((start + left, top, start + right, bottom))
            start += run.face.width(run.text, size, weight)
        lefts, tops, rights, bottoms = zip(*boxes, strict=True) if boxes else ((0.0,),) * 4
        return min(lefts), min(tops), max(rights), max(bottoms)

    def width(self, text: str, size: int, weight: int | None = None) -> float:
        """Return the width of a line in pixels."""
        runs = self._runs(clusters(cleaned(text)))
        return sum(run.face.width(run.text, size, weight) for run in runs)

    def drawable(self, text: str) -> str:
        """Return the text without invisible words and symbols that no font has.

        It is "" if a letter or digit has no font.
        """
        kept = []
        for cluster in clusters(cleaned(text)):
            needs_shaping = len(cluster) > 1 or is_right_to_left(cluster)
            if self._best(cluster) and (self._can_shape or not needs_shaping):
                kept.append(cluster)
            elif unicodedata.category(cluster[0])[0] in "LMN":
                return ""
        return " ".join(word for word in "".join(kept).split() if self.width(word, _MEASURED))

    def _fitting_runs(self, clusters: Sequence[str], size: int, width: int | None) -> list[_Run]:
        """Return the whole line, or as much of it as fits with an ellipsis."""
        runs = self._runs(clusters)
        if width is None or _width(runs, size) <= width:
            return runs
        fits, too_many = 0, len(clusters)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if _width(self._runs([*clusters[:middle], "…"]), size) <= width:
                fits = middle
            else:
                too_many = middle
        return self._runs([*clusters[:fits], "…"])

    def _runs(self, clusters: Iterable[str]) -> list[_Run]:
        runs: list[_Run] = []
        for cluster in clusters:
            last = runs[-1] if runs else None
            text, face = self._text_and_face(cluster, last.face if last else None)
            if last and last.text.endswith(text) and text != cluster and _is_han(cluster):
                continue  # one ellipsis is enough for several
            if last and last.face is face:
                runs[-1] = _Run(last.text + text, face)
            else:
                runs.append(_Run(text, face))
        return runs

    def _text_and_face(self, cluster: str, previous: Face | None) -> tuple[str, Face]:
        """Return the text to draw for a cluster, possibly transliterated, and its font."""
        if (
            _is_between_words(cluster)
            and previous
            and not previous.colored  # in emoji fonts, # and * are parts of keycaps
            and previous.has(cluster)
        ):
            return cluster, previous  # keeps a phrase in one run
        face = self._best(cluster)
        if face:
            return cluster, face
        if _is_han(cluster):
            return self._text_and_face("…", None)
        latin = self._best("a") or BUILT_IN
        return (cluster if latin is BUILT_IN and latin.has(cluster) else anyascii(cluster)), latin

    def _best(self, cluster: str) -> Face | None:
        with self._one_reads:
            if cluster not in self._face_cache:
                self._face_cache[cluster] = self._find(cluster)
            return self._face_cache[cluster]

    def _find(self, cluster: str) -> Face | None:
        """Return the best font that has the cluster; for emoji, a colored one if possible."""
        if not self._can_shape and is_right_to_left(cluster):
            return None
        fitting = (face for face in self._faces() if face.has(cluster))
        best = next(fitting, None)
        if best is None or best.colored or not _is_emoji(cluster):
            return best
        return next((face for face in fitting if face.colored), best)

    def _faces(self) -> Iterator[Face]:
        """Yield the fonts read so far, then read the others."""
        yield from self._read
        for face in self._unread:
            self._read.append(face)
            yield face


def _width(runs: Iterable[_Run], size: int) -> float:
    return sum(run.face.width(run.text, size) for run in runs)


def _in_order(runs: list[_Run]) -> list[_Run]:
    """Return the runs from left to right."""
    text = "".join(run.text for run in runs)
    return runs[::-1] if is_right_to_left(text) else runs


def cleaned(text: str) -> str:
    """Return the text as one line, without control, format and surrogate characters."""
    kept = (c for c in text[:_MAX_CHARACTERS] if c.isspace() or c in _JOINERS or not _is_control(c))
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def clusters(text: str) -> Iterator[str]:
    """Split text into characters with their combining marks, which need the same font."""
    cluster = ""
    for character in text:
        if cluster and not _continues(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _continues(cluster: str, character: str) -> bool:
    return (
        character in _JOINERS
        or cluster[-1] == "\u200d"
        or unicodedata.category(character).startswith("M")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or (len(cluster) == 1 and _is_flag_half(cluster) and _is_flag_half(character))
    )


def _is_between_words(cluster: str) -> bool:
    return unicodedata.category(cluster[0])[0] in "PZ"


def _is_han(cluster: str) -> bool:
    return cluster[0] == "々" or unicodedata.name(cluster[0], "").startswith("CJK ")


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_emoji(cluster: str) -> bool:
    return cluster[0] >= "\U0001f000" or "\ufe0f" in cluster


def is_right_to_left(text: str) -> bool:
    """Whether the first character with a direction is written from right to left."""
    directions = (unicodedata.bidirectional(character) for character in text)
    return next((d for d in directions if d in ("L", "R", "AL")), "L") != "L"
