"""JSON Lines: one line per object that any parser can read, whatever the file names."""

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from covergen.cli.output import jsonl
from covergen.core.album import Action, AlbumPlan, Outcome, Status
from covergen.core.reasons import Reason
from covergen.pipeline.events import AlbumDone, FileFailed
from covergen.pipeline.totals import PlanTotals, Tally
from tests.values import FULL_PROVENANCE, PROVENANCE_TEXTS, make_album, make_track

# A line break, an escape sequence, quotation marks, and three bytes that are not UTF-8.
_NAME = b'Cr\xe8me\n\x1b[31m"br\xfbl\xe9e" \xf0\x9f\x8e\xa7\xe2\x80\xa8.mp3'
_FOLDER = Path(os.fsdecode(b"/music/" + _NAME))
_TRACK = make_track(_FOLDER / os.fsdecode(_NAME))
_ALBUM = make_album(
    _FOLDER, artist="An Artist", title="An Album", date="1997-05-21", tracks=(_TRACK,)
)
_PLAN = AlbumPlan(album=_ALBUM, action=Action.PAINT, reason=Reason.NO_COVER, targets=(_TRACK,))
_WRITTEN = Outcome(path=_TRACK.path, status=Status.WRITTEN, reason=Reason.WRITTEN, message="a note")
_FAILED = Outcome(path=_TRACK.path, status=Status.FAILED, reason=Reason.UNREADABLE)
_DONE = AlbumDone(
    plan=_PLAN, reason=Reason.NO_COVER, outcomes=(_WRITTEN, _FAILED), provenance=FULL_PROVENANCE
)
_ALBUM_FIELDS = {
    "format": 1,
    "type": "album",
    "key": "key",
    "artist": "An Artist",
    "title": "An Album",
    "date": "1997-05-21",
    "folder": str(_FOLDER),
    "folder_bytes": b64encode(b"/music/" + _NAME).decode(),
    "tracks": 1,
    "cover_file": None,
    "broken_file": None,
}
_PATH_BYTES = b64encode(b"/music/" + _NAME + b"/" + _NAME).decode()


def _read(line: str) -> dict[str, Any]:
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert isinstance(read, dict)
    return read


def test_plan_object_lists_the_targets() -> None:
    assert _read(jsonl.dumps("album", jsonl.plan_object(_PLAN))) == _ALBUM_FIELDS | {
        "action": "paint",
        "reason": "no-cover",
        "targets": [str(_TRACK.path)],
        "targets_bytes": [_PATH_BYTES],
    }


def test_done_object_lists_files_and_provenance() -> None:
    read = _read(jsonl.dumps("album", jsonl.done_object(_DONE)))
    assert (read["provenance"]["seed"], read["provenance"]["guidance"]) == (2**63 - 1, 7.5)
    read["provenance"] = {name: str(value) for name, value in read["provenance"].items()}
    assert read == _ALBUM_FIELDS | {
        "action": "paint",
        "reason": "no-cover",
        "result": "partly",
        "files": [
            {
                "path": str(_TRACK.path),
                "path_bytes": _PATH_BYTES,
                "status": "written",
                "reason": "written",
                "message": "a note",
            },
            {
                "path": str(_TRACK.path),
                "path_bytes": _PATH_BYTES,
                "status": "failed",
                "reason": "unreadable",
                "message": "",
            },
        ],
        "provenance": PROVENANCE_TEXTS,
    }


def test_skipped_album_has_no_provenance() -> None:
    plan = AlbumPlan(album=_ALBUM, action=Action.SKIP, reason=Reason.HAS_ART)

    read = _read(jsonl.dumps("album", jsonl.done_object(AlbumDone(plan=plan, reason=plan.reason))))

    assert (read["result"], read["files"], read["provenance"]) == ("skipped", [], None)


def test_plan_summary_counts_by_reason() -> None:
    totals = PlanTotals()
    for item in (_PLAN, _PLAN, _FAILED):
        totals.add(item)
    totals.add(AlbumPlan(album=_ALBUM, action=Action.SKIP, reason=Reason.LIMIT))

    assert _read(jsonl.dumps("summary", jsonl.plan_summary(totals))) == {
        "format": 1,
        "type": "summary",
        "albums": [
            {"action": "paint", "reason": "no-cover", "count": 2},
            {"action": "skip", "reason": "limit", "count": 1},
        ],
        "files": [{"status": "failed", "reason": "unreadable", "count": 1}],
        "bare": {},
        "small_covers": 0,
    }


@pytest.mark.parametrize("interrupted", [True, False])
def test_run_summary_counts_by_reason(interrupted: bool) -> None:
    tally = Tally()
    for event in (_DONE, _DONE, FileFailed(outcome=_FAILED)):
        tally.add(event)

    assert _read(jsonl.dumps("summary", jsonl.run_summary(tally, interrupted=interrupted))) == {
        "format": 1,
        "type": "summary",
        "albums": [{"result": "partly", "reason": "no-cover", "count": 2}],
        "files": [
            {"status": "failed", "reason": "unreadable", "count": 3},
            {"status": "written", "reason": "written", "count": 2},
        ],
        "bare": {},
        "interrupted": interrupted,
    }


def test_names_that_are_not_utf8_round_trip() -> None:
    planned = _read(jsonl.dumps("album", jsonl.plan_object(_PLAN)))
    failed = _read(jsonl.dumps("file", jsonl.file_object(_FAILED)))

    assert (failed["format"], failed["type"], failed["reason"]) == (1, "file", "unreadable")
    assert os.fsencode(planned["folder"]) == b"/music/" + _NAME
    assert os.fsencode(failed["path"]) == b"/music/" + _NAME + b"/" + _NAME
    # For tools such as jq, which replace lone surrogates.
    assert b64decode(planned["folder_bytes"]) == b"/music/" + _NAME
    assert b64decode(failed["path_bytes"]) == b"/music/" + _NAME + b"/" + _NAME
    assert [os.fsencode(p) for p in planned["targets"]] == [
        b64decode(p) for p in planned["targets_bytes"]
    ]
    assert "path_bytes" not in _read(jsonl.dumps("file", {"path": "/music/André"}))


def test_the_schema_is_valid_and_refuses_what_it_does_not_describe() -> None:
    schema = json.loads((Path(__file__).parents[4] / ".docs/json.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    line = json.loads(jsonl.dumps("album", jsonl.done_object(_DONE)))
    validator.validate(line)
    for wrong in ({"format": 2}, {"type": "other"}, {"action": "eat"}, {"files": [{}]}):
        with pytest.raises(ValidationError):
            validator.validate(line | wrong)
