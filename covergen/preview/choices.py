"""choices.json: what a person decided about a preview, on its page or with an editor.

    {
      "format": 1,
      "preview": "ID",
      "albums": {
        "ALBUM": {"choice": 2, "seed": "1234"},
        "ALBUM": {"reject": true, "seed": "1234"},
        "ALBUM": {"retry": true, "seed": "1234"}
      }
    }

"format" is always 1. "preview" is the preview's id, and may be left out. Under each album's id is
one of three things: the candidate to write, counted from 1; that none is to be written; that it
is to be painted again with new seeds. "seed" is that of the candidate, or of the first; where the
album has been painted again since, it is another by now, and the decision is outdated. It may be
left out. An album that is not named keeps its first candidate.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from covergen.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Choices", "read_choices"]

_MOST_BYTES = 64 * 1024 * 1024  # a million albums
_MOST_CANDIDATES = 1 << 20  # of an album, ever
_EXPECTED = 'expected {"choice": N}, {"reject": true} or {"retry": true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What was decided, by album id. `chosen` counts candidates from 1.

    `outdated`: decided on covers that are not there any more. `name` tells the file from one that
    was saved before or after it.
    """

    chosen: Mapping[str, int] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()
    retried: frozenset[str] = frozenset()
    outdated: frozenset[str] = frozenset()
    name: str = ""


def read_choices(path: Path, *, preview: str, seeds: Mapping[str, Sequence[int]]) -> Choices:
    """Read the choices for the preview of that id; `seeds` are those of each album's candidates.

    Raises SettingsError with all the mistakes of the file at once.
    """
    document: Any = _parse(path)
    problems = list(_problems(document, preview, seeds))
    if problems:
        raise SettingsError(path, problems)
    albums = document["albums"]
    return Choices(
        chosen={album: said["choice"] for album, said in albums.items() if "choice" in said},
        rejected=frozenset(album for album, said in albums.items() if "reject" in said),
        retried=frozenset(album for album, said in albums.items() if "retry" in said),
        outdated=frozenset(a for a, said in albums.items() if _is_outdated(said, seeds[a])),
        name=_name(path),
    )


def _name(path: Path) -> str:
    stamp = f"{path.stat().st_mtime_ns} ".encode()
    return hashlib.blake2b(stamp + path.read_bytes(), digest_size=8).hexdigest()


def _is_outdated(said: Mapping[str, Any], seeds: Sequence[int]) -> bool:
    """Whether the candidate that is spoken of is not the one that was decided on."""
    place = said.get("choice", 1) - 1
    return "seed" in said and said["seed"] not in map(str, seeds[place : place + 1])


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


def _problems(document: object, preview: str, seeds: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """All that is wrong, a line for each mistake."""
    if not isinstance(document, dict):
        yield f'expected {{"format": 1, "albums": {{…}}}}, not {_shown(document)}'
        return
    if (version := document.get("format")) != 1 or version is True:
        yield f"format: expected 1, not {_shown(version)}"
    if document.get("preview", preview) != preview:
        yield f"preview: {_shown(document['preview'])} is another one; this is {preview!r}"
    for key in document.keys() - {"format", "preview", "albums"}:
        yield f"{_shown(key)}: unknown key; the keys are format, preview and albums"
    albums = document.get("albums")
    if not isinstance(albums, dict):
        yield f"albums: expected an object, not {_shown(albums)}"
        return
    for album, said in albums.items():
        if problem := _problem(said, seeds.get(album)):
            yield f"albums: {_shown(album)}: {problem}"


def _problem(said: object, seeds: Sequence[int] | None) -> str:
    """What is wrong with one album, which is unknown with None."""
    if seeds is None:
        return "there is no such album in the preview"
    if not isinstance(said, dict) or not isinstance(seed := said.get("seed", ""), str):
        return f"{_EXPECTED}, not {_shown(said)}"
    # What is outdated may speak of a candidate that there is no more.
    count = _MOST_CANDIDATES if seed else len(seeds)
    decision = {name: value for name, value in said.items() if name != "seed"}
    if len(decision) != 1:
        return f"{_EXPECTED}, not {_shown(said)}"
    match decision:
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


class _Brief(reprlib.Repr):
    """Short and safe for a terminal, with the words of JSON."""

    def repr_bool(self, value: bool, _level: int) -> str:
        return "true" if value else "false"

    def repr_NoneType(self, _value: None, _level: int) -> str:  # noqa: N802 - looked for by name
        return "null"


def _shown(value: object) -> str:
    brief = _Brief()
    brief.maxstring = 60
    return brief.repr(value)
