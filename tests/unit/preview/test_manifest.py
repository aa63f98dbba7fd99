"""plan.jsonl: complete lines are read, damaged ones are ignored."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.album import Action
from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.preview.manifest import AlbumEntry, Candidate, Manifest, ManifestHeader, TrackEntry
from covergen.preview.origins import new_preview_id

_HEADER = ManifestHeader(
    preview=new_preview_id(), roots=("Music",), settings={"seed": "0", "model": "é"}
)


def _album(number: int) -> AlbumEntry:
    track = TrackEntry(
        path=f"{number}/ä\udcff.mp3", size=1 << 40, mtime_ns=-1, has_art=False, target=True
    )
    return AlbumEntry(
        id=f"album {number}",
        key="key",
        artist="東京",
        title="\u2028<script>",
        date="1997",
        root=0,
        folder="",
        shares_folder=True,
        cover_file="Cover.jpg",
        seconds=1.5,
        tracks=(track, replace(track, target=False)),
        action=Action.PAINT,
        reason=Reason.NO_COVER,
        candidates=(Candidate(number=0, seed=2**63 - 1, cover="a-1.png"),),
    )


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Manifest]:
    with closing(Manifest.create(tmp_path, _HEADER)) as made:
        yield made


def test_albums_round_trip(plan: Manifest, tmp_path: Path) -> None:
    albums = [_album(n) for n in range(3)]
    for album in albums:
        plan.put(album)
    changed = replace(albums[0], candidates=(), tries=2)
    plan.put(changed)
    with closing(Manifest(tmp_path)) as again:
        for one in (plan, again):
            assert one.header == _HEADER
            assert list(one) == [changed, *albums[1:]]
            assert one.find("album 0") == changed
            assert one.find("album 9") is None
            assert {name: len(seeds) for name, seeds in one.seeds.items()} == {
                "album 0": 0,
                "album 1": 1,
                "album 2": 1,
            }
            assert one.damaged == []


def test_compact_keeps_one_line_per_kept_album(plan: Manifest, tmp_path: Path) -> None:
    for n in (0, 1, 2, 1, 0):
        plan.put(_album(n))
    plan.compact({"album 0", "album 2", "album 9"})
    plan.put(_album(5))
    assert [album.id for album in plan] == ["album 0", "album 2", "album 5"]
    assert len((tmp_path / "plan.jsonl").read_text().splitlines()) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["plan.jsonl"]


def test_truncated_manifest_keeps_complete_albums(plan: Manifest, tmp_path: Path) -> None:
    albums = [_album(n) for n in range(2)]
    for album in albums:
        plan.put(album)
    file = tmp_path / "plan.jsonl"
    whole = file.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    near = {end + shift for end in ends for shift in (-2, -1, 0, 1)}
    for length in sorted((near | {*range(0, len(whole), 9)}) & {*range(len(whole))}):
        file.write_bytes(whole[:length])
        if length < ends[0] - 1:
            with pytest.raises(UsageError, match="first line is damaged"):
                Manifest(tmp_path)
            continue
        with closing(Manifest(tmp_path)) as cut:
            count = sum(length >= end - 1 for end in ends[1:])
            assert list(cut) == albums[:count]
            assert cut.damaged == ([] if length + 1 in ends or length in ends else [count + 2])
            cut.put(_album(7))
        with closing(Manifest(tmp_path)) as repaired:
            assert list(repaired) == [*albums[:count], _album(7)]


def test_flipped_bit_damages_only_its_line(plan: Manifest, tmp_path: Path) -> None:
    for n in range(3):
        plan.put(_album(n))
    file = tmp_path / "plan.jsonl"
    whole = file.read_bytes()
    start, middle, *_ = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for place in range(start, middle - 1, 3):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        file.write_bytes(data)
        with closing(Manifest(tmp_path)) as flipped:
            assert [album for album in flipped if album.id in ("album 1", "album 2")][-2:] == [
                _album(1),
                _album(2),
            ]


@pytest.mark.parametrize(
    ("field", "value"),
    [("root", 1), ("root", -1), ("root", 0.0), ("shares_folder", 0), ("seconds", "1"),
     ("cover_file", "../a.jpg"), ("folder", ".."), ("folder", None), ("excerpt", "../a.mp3"),
     ("excerpt", "a/b.mp3"), ("action", "delete"), ("reason", "x"), ("tracks", [1]),
     ("id", None), ("candidates", [{"number": 0, "seed": 0, "cover": "a.txt"}])],
)  # fmt: skip
def test_invalid_values_count_as_damage(
    plan: Manifest, tmp_path: Path, field: str, value: object
) -> None:
    plan.put(_album(0))
    head, line = (tmp_path / "plan.jsonl").read_text().splitlines()
    album = {**json.loads(line), field: value}
    (tmp_path / "plan.jsonl").write_text(f"{head}\n{json.dumps(album)}\n{line}\n")
    with closing(Manifest(tmp_path)) as read:
        assert (list(read), read.damaged) == ([_album(0)], [2])


# A manifest as covergen 0.1.0 wrote it. Never change this.
_VERSION_0_1 = """\
{"type": "covergen preview", "format": 2, "version": "0.1.0", "preview": \
"0123456789abcdef0123456789abcdef", "roots": ["Music"], "settings": {"model": "starter"}}
{"type": "album", "id": "a1", "key": "k", "artist": "A", "title": "T", "date": "1997", "root": 0, \
"folder": "A/T", "shares_folder": false, "cover_file": "", "seconds": 2.5, "tracks": [{"path": \
"A/T/1.mp3", "size": 7, "mtime_ns": 9, "has_art": false, "target": true}], "action": "paint", \
"reason": "no-cover", "candidates": [{"number": 1, "seed": 5, "cover": "a-t-a1-2.png"}], \
"excerpt": "a-t-a1.mp3", "tries": 2, "first": 1, "retry": "r"}
"""


def test_manifest_of_version_0_1_is_read(tmp_path: Path) -> None:
    (tmp_path / "plan.jsonl").write_text(_VERSION_0_1)
    with closing(Manifest(tmp_path)) as manifest:
        (entry,) = manifest
        assert manifest.damaged == []
        assert manifest.header == ManifestHeader(
            preview="0123456789abcdef" * 2, roots=("Music",), settings={"model": "starter"}
        )
    assert entry == AlbumEntry(
        id="a1",
        key="k",
        artist="A",
        title="T",
        date="1997",
        root=0,
        folder="A/T",
        shares_folder=False,
        cover_file="",
        seconds=2.5,
        tracks=(TrackEntry(path="A/T/1.mp3", size=7, mtime_ns=9, has_art=False, target=True),),
        action=Action.PAINT,
        reason=Reason.NO_COVER,
        candidates=(Candidate(number=1, seed=5, cover="a-t-a1-2.png"),),
        excerpt="a-t-a1.mp3",
        tries=2,
        first=1,
        retry="r",
    )


@pytest.mark.parametrize("name", ["../../x", "0" * 31, "g" * 32, ""])
def test_invalid_preview_id_is_refused(tmp_path: Path, name: str) -> None:
    Manifest.create(tmp_path, _HEADER).close()
    file = tmp_path / "plan.jsonl"
    file.write_text(file.read_text().replace(_HEADER.preview, name))
    with pytest.raises(UsageError):
        Manifest(tmp_path)
