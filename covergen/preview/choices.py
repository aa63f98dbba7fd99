"""choices.json: the user's decisions about a preview, made on its page or in an editor.

    {
      "format": 1,
      "preview": "ID",
      "albums": {
        "ALBUM": {"choice": 2, "seed": "1234"},
        "ALBUM": {"reject": true, "seed": "1234"},
        "ALBUM": {"retry": true, "seed": "1234"}
      }
    }

"format" is always 1. "preview" is the preview's id and optional. Each album id maps to one of
three decisions: the candidate to write, counted from 1; write none; paint it again with new seeds.
"seed" is optional: the seed of that candidate, or else of the first one. If it differs from the
preview's, the album has been painted again since, and the decision is outdated. Albums that are
not listed get their first candidate.
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
_MOST_CANDIDATES = 1 << 20  # per album
_EXPECTED = 'expected {"choice": N}, {"reject": true} or {"retry": true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Decisions by album id. `chosen` counts candidates from 1.

    `outdated`: made for covers that have been replaced since. `name` identifies this version of
    the file.
    """

    chosen: Mapping[str, int] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()
    retried: frozenset[str] = frozenset()
    outdated: frozenset[str] = frozenset()
    name: str = ""


def read_choices(path: Path, *, preview: str, seeds: Mapping[str, Sequence[int]]) -> Choices:
    """Read the choices for the preview with that id; `seeds` has each album's candidate seeds.

    Raises SettingsError that lists all problems of the file at once.
    """
    document: Any = _parse(path)
    problems = list(_problems(document, preview, seeds))
    if problems:
        raise SettingsError(path, problems)
    albums = document["albums"]
    return Choices(
        chosen={album: entry["choice"] for album, entry in albums.items() if "choice" in entry},
        rejected=frozenset(album for album, entry in albums.items() if "reject" in entry),
        retried=frozenset(album for album, entry in albums.items() if "retry" in entry),
        outdated=frozenset(a for a, entry in albums.items() if _is_outdated(entry, seeds[a])),
        name=_name(path),
    )


def _name(path: Path) -> str:
    stamp = f"{path.stat().st_mtime_ns} ".encode()
    return hashlib.blake2b(stamp + path.read_bytes(), digest_size=8).hexdigest()


def _is_outdated(entry: Mapping[str, Any], seeds: Sequence[int]) -> bool:
    """Whether the decision was made for a candidate that has been replaced."""
    index = entry.get("choice", 1) - 1
    return "seed" in entry and entry["seed"] not in map(str, seeds[index : index + 1])


def _parse(path: Path) -> object:
    try:
        if not path.is_file():
            raise SettingsError(path, ["no such file"])
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError(path, [f"is larger than {_MOST_BYTES:,} bytes"])
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(path, [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError(path, [f"is not valid UTF-8 at byte {error.start}"]) from error
    try:
        return json.loads(text, object_pairs_hook=_reject_duplicates)
    except (ValueError, RecursionError) as error:
        raise SettingsError(path, [f"is not valid JSON: {error}"]) from error


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object. Raises ValueError for a duplicate key, where json would keep the last."""
    result = dict(pairs)
    if len(result) < len(pairs):
        [(duplicate, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {_shown(duplicate)}")
    return result


def _problems(document: object, preview: str, seeds: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Yield one line for each problem."""
    if not isinstance(document, dict):
        yield f'expected {{"format": 1, "albums": {{…}}}}, not {_shown(document)}'
        return
    if (version := document.get("format")) != 1 or version is True:
        yield f"format: expected 1, not {_shown(version)}"
    if document.get("preview", preview) != preview:
        yield f"preview: {_shown(document['preview'])} is another preview; this is {preview!r}"
    for key in document.keys() - {"format", "preview", "albums"}:
        yield f"{_shown(key)}: unknown key; the keys are format, preview and albums"
    albums = document.get("albums")
    if not isinstance(albums, dict):
        yield f"albums: expected an object, not {_shown(albums)}"
        return
    for album, entry in albums.items():
        if problem := _problem(entry, seeds.get(album)):
            yield f"albums: {_shown(album)}: {problem}"


def _problem(entry: object, seeds: Sequence[int] | None) -> str:
    """Return what is wrong with an album's entry, or "". `seeds` is None for an unknown album."""
    if seeds is None:
        return "no such album in the preview"
    if not isinstance(entry, dict) or not isinstance(seed := entry.get("seed", ""), str):
        return f"{_EXPECTED}, not {_shown(entry)}"
    # An outdated decision may refer to a candidate that no longer exists.
    count = _MOST_CANDIDATES if seed else len(seeds)
    decision = {name: value for name, value in entry.items() if name != "seed"}
    if len(decision) != 1:
        return f"{_EXPECTED}, not {_shown(entry)}"
    match decision:
        case {"reject": True}:
            return ""
        case {"choice": _} | {"retry": True} if not count:
            return "it was not painted, so there is nothing to choose or paint again"
        case {"retry": True}:
            return ""
        case {"choice": number} if type(number) is int and 1 <= number <= count:
            return ""
        case {"choice": number}:
            return f"choice: expected a whole number from 1 to {count}, not {_shown(number)}"
    return f"{_EXPECTED}, not {_shown(entry)}"


class _Brief(reprlib.Repr):
    """A repr that is short, safe for a terminal, and spells values as JSON does."""

    def repr_bool(self, value: bool, _level: int) -> str:
        return "true" if value else "false"

    def repr_NoneType(self, _value: None, _level: int) -> str:  # noqa: N802 - reprlib dispatches on the type's name
        return "null"


def _shown(value: object) -> str:
    brief = _Brief()
    brief.maxstring = 60
    return brief.repr(value)
