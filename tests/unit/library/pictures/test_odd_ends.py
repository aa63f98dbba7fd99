"""Covers in files with trailing data, and in truncated files."""

from contextlib import closing
from pathlib import Path

import pytest

from covergen.audio.same_sound import same_sound
from covergen.core.album import Status
from covergen.core.errors import DecodeError, TagError
from covergen.journal.journal import Journal
from covergen.journal.restore import take_back
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.library.read_track import read_track
from covergen.library.writing.rewrite import RewriteOptions, write_cover
from tests.media import CONTAINERS, EXTENSION, encode, truncated
from tests.unit.library.journalled import album, last_write, open_run
from tests.unit.library.written import PNG, large, track, write

BEHIND = {
    "id3v1": b"TAG" + b"Title".ljust(30, b"\0") + bytes(95),
    "zeros and noise": bytes(777) + bytes(range(251)) * 3,
}
COVER = large(PNG, 60_000)  # in base64, more than one Ogg page


@pytest.fixture(scope="module", params=CONTAINERS)
def healthy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song of each container."""
    container = request.param
    return encode(
        tmp_path_factory.mktemp(container) / f"song{EXTENSION[container]}", container, seconds=2
    )


def container_of(path: Path) -> str:
    return read_track(path, path.stat()).container


@pytest.mark.parametrize("kind", BEHIND)
def test_trailing_data_is_preserved_and_write_can_be_undone(
    healthy: Path, tmp_path: Path, kind: str
) -> None:
    song = tmp_path / healthy.name
    original = healthy.read_bytes() + BEHIND[kind]
    song.write_bytes(original)
    container = container_of(song)

    with closing(Journal()) as journal, open_run(journal, tmp_path) as run:
        outcome = write_cover(
            track(song, container),
            COVER,
            same_sound=same_sound,
            options=RewriteOptions(),
            record=run.record(album(tmp_path)),
        )

    assert outcome.status is Status.WRITTEN, outcome.message
    assert EmbeddedPicture(COVER.data, FRONT_COVER) in read_pictures(song, container)
    assert BEHIND[kind] in song.read_bytes()
    with closing(Journal()) as journal:
        take_back(last_write(journal, song), journal, RewriteOptions())
    assert song.read_bytes() == original


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_fault_predicts_whether_truncated_file_is_written(
    healthy: Path, tmp_path: Path, share: float
) -> None:
    song = tmp_path / healthy.name
    song.write_bytes(healthy.read_bytes())
    container = container_of(song)
    truncated(song, share)
    before = song.read_bytes()
    try:
        expected = not read_track(song, song.stat()).fault
        same_sound(song, song)
    except (DecodeError, TagError):
        expected = False

    outcome = write(song, container, COVER, same_sound=same_sound)

    assert (outcome.status is Status.WRITTEN) == expected, outcome.message
    if not expected:
        assert song.read_bytes() == before
        assert list(tmp_path.iterdir()) == [song]
