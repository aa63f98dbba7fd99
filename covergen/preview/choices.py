"""Read choices.json: the user's decisions on a preview, saved by its page or written by hand.

    {
      "format": 1,
      "preview": "ID",
      "albums": {
        "ALBUM": {"choice": 2, "seed": "1234"},
        "ALBUM": {"reject": true, "seed": "1234"},
        "ALBUM": {"retry": true, "seed": "1234"}
      }
    }

"format" is always 1. "preview" is the ID of the preview and optional. Each album ID has one of
three decisions: "choice" is the candidate to write, counting from 1; "reject" writes none; "retry"
asks for new candidates. "seed" is optional and is the seed of the chosen candidate, or of the
first one; if it no longer matches, the album has been repainted and the decision is outdated.
Albums without a decision get their first candidate.
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

_MAX_BYTES = 64 * 1024 * 1024  # enough for a million albums
_MAX_CANDIDATES = 1 << 20  # of one album
_EXPECTED = 'expected {"choice": N}, {"reject": true} or {"retry": true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The decisions by album ID. `chosen` counts candidates from 1.

    `outdated` are decisions on covers that have been repainted since. `name` identifies this saved
    version of the file.
    """

    chosen: Mapping[str, int] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()
    retried: frozenset[str] = frozenset()
    outdated: frozenset[str] = frozenset()
    name: str = ""


def read_choices(path: Path, *, preview: str, seeds: Mapping[str, Sequence[int]]) -> Choices:
    """Read the choices for the preview with ID `preview`.

    `seeds` are the candidates' seeds by album ID. Raises SettingsError with all the problems of
    the file at once.
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
    """Whether the candidate now has another seed than the one that was decided on."""
    index = entry.get("choice", 1) - 1
    return "seed" in entry and entry["seed"] not in map(str, seeds[index : index + 1])


def _parse(path: Path) -> object:
    try:
        if not path.is_file():
            raise SettingsError(path, ["does not exist or is not a file"])
        if path.stat().st_size > _MAX_BYTES:
            raise SettingsError(path, [f"is larger than {_MAX_BYTES:,} bytes"])
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(path, [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError(path, [f"is not valid UTF-8 at byte {error.start}"]) from error
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise SettingsError(path, [f"is not valid JSON: {error}"]) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Reject duplicate keys, of which Python's parser would silently use the last."""
    result = dict(pairs)
    if len(result) < len(pairs):
        [(duplicate, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {_shown(duplicate)}")
    return result


def _problems(document: object, preview: str, seeds: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Yield the problems of the document, one line each."""
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
    for album, entry in albums.items():
        if problem := _problem(entry, seeds.get(album)):
            yield f"albums: {_shown(album)}: {problem}"


def _problem(entry: object, seeds: Sequence[int] | None) -> str:
    """Return the problem of one album's entry, or "". `seeds` is None for an unknown album."""
    if seeds is None:
        return "not an album of the preview"
    if not isinstance(entry, dict) or not isinstance(seed := entry.get("seed", ""), str):
        return f"{_EXPECTED}, not {_shown(entry)}"
    # An outdated choice may refer to a candidate that no longer exists.
    count = _MAX_CANDIDATES if seed else len(seeds)
    decision = {name: value for name, value in entry.items() if name != "seed"}
    if len(decision) != 1:
        return f"{_EXPECTED}, not {_shown(entry)}"
    match decision:
        case {"reject": True}:
            return ""
        case {"choice": _} | {"retry": True} if not count:
            return "it was not painted, so it cannot be chosen or retried"
        case {"retry": True}:
            return ""
        case {"choice": number} if type(number) is int and 1 <= number <= count:
            return ""
        case {"choice": number}:
            return f"choice: expected a whole number from 1 to {count}, not {_shown(number)}"
    return f"{_EXPECTED}, not {_shown(entry)}"


class _Repr(reprlib.Repr):
    """A short repr, safe for a terminal, that uses JSON's names."""

    def repr_bool(self, value: bool, _level: int) -> str:
        return "true" if value else "false"

    def repr_NoneType(self, _value: None, _level: int) -> str:  # noqa: N802 - reprlib looks it up by type name
        return "null"


def _shown(value: object) -> str:
    formatter = _Repr()
    formatter.maxstring = 60
    return formatter.repr(value)
