"""Format events as JSON Lines: one versioned object per album or file, then a summary."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from covergen.core.album import Album, AlbumPlan, Outcome
from covergen.core.reasons import Reason
from covergen.pipeline.events import AlbumDone

if TYPE_CHECKING:
    import click

    from covergen.pipeline.totals import PlanTotals, Tally


FORMAT = 1


def dumps(kind: str, value: dict[str, Any]) -> str:
    """Return an object as one line of JSON.

    A byte of a name that is not UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which jq and
    other tools replace. Such a name is also given in base64 as KEY_bytes next to its KEY; in a
    list, every name is.
    """
    return json.dumps(_with_bytes({"format": FORMAT, "type": kind, **value}))


def _with_bytes(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return dict(_pairs_with_bytes(value))
    return list(map(_with_bytes, value)) if isinstance(value, list) else value


def _pairs_with_bytes(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        yield key, _with_bytes(item)
        if isinstance(item, str) and _has_surrogates(item):
            yield f"{key}_bytes", _base64(item)
        elif isinstance(item, list) and any(
            isinstance(i, str) and _has_surrogates(i) for i in item
        ):
            yield f"{key}_bytes", list(map(_base64, item))


def _has_surrogates(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _base64(name: str) -> str:
    return b64encode(name.encode(errors="surrogateescape")).decode()


def plan_object(plan: AlbumPlan) -> dict[str, Any]:
    """An album in a dry run. `targets` are the files that would be written."""
    return {
        **_album(plan.album),
        "action": plan.action.value,
        "reason": plan.reason.value,
        "targets": list(map(str, plan.files)),
    }


def done_object(done: AlbumDone) -> dict[str, Any]:
    """An album that a run has finished."""
    return {
        **_album(done.plan.album),
        "action": done.plan.action.value,
        "reason": done.reason.value,
        "result": done.result,
        "files": [file_object(outcome) for outcome in done.outcomes],
        "provenance": asdict(done.provenance) if done.provenance else None,
    }


def file_object(outcome: Outcome) -> dict[str, Any]:
    """The outcome for a file."""
    return {
        "path": str(outcome.path),
        "status": outcome.status.value,
        "reason": outcome.reason.value,
        "message": outcome.message,
    }


def error_object(error: click.ClickException) -> dict[str, Any]:
    """The error that ended a command."""
    return {"message": error.format_message(), "exit_code": error.exit_code}


def plan_summary(totals: PlanTotals) -> dict[str, Any]:
    """The last line of a dry run: albums by action and reason, other files by status and reason.

    `bare` is the number of files that cannot hold a cover, by extension. `small_covers` is the
    number of WMA targets, where a cover above 64 KiB becomes a smaller JPEG.
    """
    albums = _counts(totals.albums, "action")
    return {"albums": albums, **_files(totals), "small_covers": totals.small_covers}


def run_summary(tally: Tally, *, interrupted: bool) -> dict[str, Any]:
    """The last line of a run: albums by result and reason, files by status and reason."""
    albums = _counts(tally.albums, "result")
    return {"albums": albums, **_files(tally), "interrupted": interrupted}


def _files(totals: PlanTotals | Tally) -> dict[str, Any]:
    return {"files": _counts(totals.files, "status"), "bare": dict(sorted(totals.bare.items()))}


def _counts(counted: Mapping[tuple[Any, Reason], int], kind: str) -> list[dict[str, Any]]:
    return [
        {kind: str(value), "reason": reason.value, "count": count}
        for (value, reason), count in sorted(counted.items())
    ]


def _album(album: Album) -> dict[str, Any]:
    return {
        "key": album.key,
        "artist": album.artist,
        "title": album.title,
        "date": album.date,
        "folder": str(album.folder),
        "tracks": len(album.tracks),
        "cover_file": str(album.cover_file) if album.cover_file else None,
        "broken_file": str(album.broken_file) if album.broken_file else None,
    }
