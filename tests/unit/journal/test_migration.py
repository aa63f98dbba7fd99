"""A journal of an earlier version is updated in place, and its runs can still be undone."""

import sqlite3
from contextlib import closing
from pathlib import Path

from covergen.core.album import Status
from covergen.journal.journal import Journal
from covergen.journal.restore import take_back
from covergen.journal.schema import WriteState
from covergen.library.writing.rewrite import RewriteOptions
from tests.unit.library.journalled import album, last_write, tagged
from tests.unit.library.written import JPEG, PNG
from tests.values import PROVENANCE

# The tables as covergen 0.1.0 created them. Never change this.
_VERSION_1 = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    action TEXT NOT NULL,
    roots TEXT NOT NULL,
    settings TEXT NOT NULL,
    version TEXT NOT NULL,
    started REAL NOT NULL,
    finished REAL
);
CREATE TABLE albums (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    identity TEXT NOT NULL,
    details TEXT NOT NULL,
    provenance TEXT,
    finished INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run, identity)
);
CREATE TABLE pictures (hash TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE writes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    album INTEGER NOT NULL,
    state TEXT NOT NULL,
    path BLOB NOT NULL,
    container TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    audio TEXT NOT NULL,
    size_before INTEGER NOT NULL,
    mtime_before TEXT NOT NULL,
    size_after INTEGER NOT NULL,
    mtime_after TEXT NOT NULL,
    reversal BLOB,
    picture TEXT,
    undone_by INTEGER
);
CREATE INDEX writes_by_album ON writes (album);
CREATE INDEX writes_by_path ON writes (path);
CREATE INDEX writes_by_undo ON writes (undone_by);
CREATE INDEX writes_planned ON writes (id) WHERE state = 'planned';
PRAGMA user_version = 1;
"""

_COPY = """
INSERT INTO runs SELECT id, action, roots, settings, version, started, finished FROM new.runs;
INSERT INTO albums SELECT id, run, identity, details, provenance, finished, failed FROM new.albums;
INSERT INTO pictures SELECT hash, data FROM new.pictures;
INSERT INTO writes SELECT id, album, state, path, container, before, after, '', size_before,
    mtime_before, size_after, mtime_after, reversal, picture, undone_by FROM new.writes;
"""


def _journal_of_version_1(path: Path) -> None:
    """Replace the journal by one of version 1 with the same contents."""
    new = path.rename(path.with_name("new.sqlite"))
    with closing(sqlite3.connect(path)) as rows:
        rows.executescript(_VERSION_1)
        rows.execute("ATTACH ? AS new", (str(new),))
        rows.executescript(_COPY)


def test_runs_of_version_1_are_read_and_undone(song: Path, original: bytes) -> None:
    tagged(song, "flac", JPEG)
    tagged(song, "flac", PNG)
    with closing(Journal()) as journal:
        expected = journal.runs(), journal.history(song)
        path = journal.path
    _journal_of_version_1(path)

    with closing(Journal()) as journal:
        assert (journal.runs(), journal.history(song)) == expected
        write = last_write(journal, song)
        assert (write.album, write.provenance) == (album(song.parent), PROVENANCE)
        for write in journal.history(song):
            assert take_back(write, journal, RewriteOptions()).status is Status.WRITTEN
            journal.settle(write, state=WriteState.UNDONE)
        assert journal.left_to_undo() == []
    assert song.read_bytes() == original


def test_provenance_of_a_later_version_is_read(song: Path) -> None:
    tagged(song, "flac", PNG)
    with closing(Journal()) as journal:
        with journal.transaction() as rows:
            rows.execute("UPDATE albums SET provenance = json_set(provenance, '$.brush', 'oil')")
        assert last_write(journal, song).provenance == PROVENANCE


def test_version_1_can_be_written(song: Path, original: bytes) -> None:
    tagged(song, "flac", JPEG)
    with closing(Journal()) as journal:
        _journal_of_version_1(journal.path)

    tagged(song, "flac", PNG)

    with closing(Journal()) as journal:
        assert [run.written for run in journal.runs()] == [1, 1]
