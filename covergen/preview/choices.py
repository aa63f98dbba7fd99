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

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covergen.core.errors import SettingsError

_MOST_SHOWN = 60  # characters of an invalid value in an error
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
    try:
        data = path.read_bytes()
        stamp = path.stat().st_mtime_ns
        document = json.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(path, [f"cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(path, [f"is not valid JSON in UTF-8: {error}"]) from error
    if problems := list(_problems(document, preview, seeds)):
        raise SettingsError(path, problems)
    albums = document["albums"]
    return Choices(
        chosen={album: entry["choice"] for album, entry in albums.items() if "choice" in entry},
        rejected=frozenset(album for album, entry in albums.items() if "reject" in entry),
        retried=frozenset(album for album, entry in albums.items() if "retry" in entry),
        outdated=frozenset(a for a, entry in albums.items() if _is_outdated(entry, seeds[a])),
        name=hashlib.blake2b(f"{stamp} ".encode() + data, digest_size=8).hexdigest(),
    )


def _is_outdated(entry: Mapping[str, Any], seeds: Sequence[int]) -> bool:
    """Whether the candidate now has another seed than the one that was decided on."""
    index = entry.get("choice", 1) - 1
    return "seed" in entry and entry["seed"] not in map(str, seeds[index : index + 1])


def _problems(document: object, preview: str, seeds: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Yield the problems of the document, one line each."""
    if not isinstance(document, dict):
        yield f'expected {{"format": 1, "albums": {{…}}}}, not {_shown(document)}'
        return
    if document.get("format") != 1:
        yield f"format: expected 1, not {_shown(document.get('format'))}"
    if document.get("preview", preview) != preview:
        yield f'preview: expected "{preview}", not {_shown(document["preview"])}'
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
    if not isinstance(entry, dict) or not isinstance(entry.get("seed", ""), str):
        return f"{_EXPECTED}, not {_shown(entry)}"
    decision = {name: value for name, value in entry.items() if name != "seed"}
    # An outdated choice may refer to a candidate that no longer exists.
    has_candidate = bool(seeds) or "seed" in entry
    match decision:
        case {"choice": _} | {"retry": True} if len(decision) == 1 and not has_candidate:
            return "it was not painted, so it cannot be chosen or retried"
        case {"reject": True} | {"retry": True} if len(decision) == 1:
            return ""
        case {"choice": number} if len(decision) == 1:
            if type(number) is int and number >= 1 and ("seed" in entry or number <= len(seeds)):
                return ""
            return f"choice: expected a whole number from 1 to {len(seeds)}, not {_shown(number)}"
    return f"{_EXPECTED}, not {_shown(entry)}"


def _shown(value: object) -> str:
    """Return the JSON of a value, shortened. It is ASCII, and so safe for a terminal."""
    text = json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
