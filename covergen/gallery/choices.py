"""choices.json: what a person decided about a preview, on its page or with an editor.

    {
      "format": 1,
      "preview": "ID",
      "albums": {
        "ALBUM": {"choice": 2},
        "ALBUM": {"reject": true},
        "ALBUM": {"retry": true}
      }
    }

"format" is always 1. "preview" is the preview's id, and may be left out. Under each album's id is
one of three things: the candidate to write, counted from 1; that none is to be written; that it
is to be painted again with new seeds. An album that is not named keeps its first candidate.
"""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from covergen.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Choices", "read_choices"]

_MOST_BYTES = 64 * 1024 * 1024  # a million albums
_EXPECTED = 'expected {"choice": N}, {"reject": true} or {"retry": true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What was decided, by album id. `chosen` counts candidates from 1."""

    chosen: Mapping[str, int]
    rejected: frozenset[str]
    retried: frozenset[str]


def read_choices(path: Path, *, preview: str, candidates: Mapping[str, int]) -> Choices:
    """Read the choices for the preview of that id, whose albums have so many candidates each.

    Raises SettingsError with all the mistakes of the file at once.
    """
    document: Any = _parse(path)
    problems = list(_problems(document, preview, candidates))
    if problems:
        raise SettingsError(path, problems)
    albums = document["albums"]
    return Choices(
        chosen={album: said["choice"] for album, said in albums.items() if "choice" in said},
        rejected=frozenset(album for album, said in albums.items() if "reject" in said),
        retried=frozenset(album for album, said in albums.items() if "retry" in said),
    )


def _parse(path: Path) -> object:
    try:
        if not path.is_file():
            raise SettingsError(path, ["there is no such file"])
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError(path, [f"is larger than {_MOST_BYTES:,} bytes"])
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(path, [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError(path, [f"is not UTF-8 from byte {error.start} on"]) from error
    try:
        return json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise SettingsError(path, [f"is no JSON that can be read: {error}"]) from error


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of names that differ: JSON's own reader takes the last of equal ones unasked."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twin, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{_shown(twin)} stands there twice")
    return found


def _problems(document: object, preview: str, candidates: Mapping[str, int]) -> Iterator[str]:
    """All that is wrong, a line for each mistake."""
    if not isinstance(document, dict):
        yield f'expected {{"format": 1, "albums": {{…}}}}, not {_shown(document)}'
        return
    if (version := document.get("format")) != 1 or version is True:
        yield f"format: expected 1, not {_shown(version)}"
    if document.get("preview", preview) != preview:
        yield f"preview: expected {preview!r}, not {_shown(document['preview'])}"
    for key in document.keys() - {"format", "preview", "albums"}:
        yield f"{_shown(key)}: unknown key; the keys are format, preview and albums"
    albums = document.get("albums")
    if not isinstance(albums, dict):
        yield f"albums: expected an object, not {_shown(albums)}"
        return
    for album, said in albums.items():
        if problem := _problem(said, candidates.get(album)):
            yield f"albums: {_shown(album)}: {problem}"


def _problem(said: object, count: int | None) -> str:
    """What is wrong with one album, which has `count` candidates and is unknown with None."""
    if count is None:
        return "there is no such album in the preview"
    if not isinstance(said, dict) or len(said) != 1:
        return f"{_EXPECTED}, not {_shown(said)}"
    match said:
        case {"reject": True}:
            return ""
        case {"choice": _} | {"retry": True} if not count:
            return "it was not painted, so there is nothing to choose or to paint again"
        case {"retry": True}:
            return ""
        case {"choice": number} if type(number) is int and 1 <= number <= count:
            return ""
        case {"choice": number}:
            return f"choice: expected a whole number from 1 to {count}, not {_shown(number)}"
    return f"{_EXPECTED}, not {_shown(said)}"


def _shown(value: object) -> str:
    """A value of the file, short and safe for a terminal."""
    brief = reprlib.Repr()
    brief.maxstring = 60
    return brief.repr(value)
