"""Album entries with relative paths."""

from pathlib import Path

import pytest

from covergen.core.album import Action, AlbumPlan
from covergen.core.reasons import Reason
from covergen.core.seeds import seed_for
from covergen.preview.album_entry import (
    album_entry,
    album_id,
    candidate_seeds,
    file_stem,
    plain,
    roots_of,
    same_music,
)
from tests.values import make_album


def _plan(folder: Path, *names: str, **fields: str) -> AlbumPlan:
    album = make_album(folder, *names, **fields)
    targets = album.tracks[:1]
    return AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=targets)


def test_roots_are_folders_above_disc_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/CD1").mkdir(parents=True)
    (tmp_path / "a/song.mp3").touch()
    (tmp_path / "a/CD1/song.mp3").touch()
    monkeypatch.chdir(tmp_path)
    paths = ["a", "a/song.mp3", "a/CD1", "a/CD1/song.mp3", "."]
    assert roots_of(list(map(Path, paths))) == (tmp_path / "a", tmp_path)


def test_paths_are_relative_to_the_innermost_root(tmp_path: Path) -> None:
    roots = (tmp_path, tmp_path / "a")
    planned = album_entry(_plan(tmp_path / "a", "CD1/1.mp3", "2.mp3"), roots)
    assert (planned.root, planned.folder) == (1, "")
    assert [(t.path, t.target) for t in planned.tracks] == [("CD1/1.mp3", True), ("2.mp3", False)]
    outer = album_entry(_plan(tmp_path / "b/c", "1.mp3"), roots)
    assert (outer.root, outer.folder, outer.tracks[0].path) == (0, "b/c", "b/c/1.mp3")


def test_copies_of_an_album_have_different_ids(tmp_path: Path) -> None:
    plans = [_plan(tmp_path / name, "1.mp3") for name in "ab"]
    assert len({album_id(plan.album, (tmp_path,)) for plan in plans}) == 2


def test_changed_tracks_are_not_the_same_music(tmp_path: Path) -> None:
    one, more = (album_entry(_plan(tmp_path, *names), (tmp_path,)) for names in ("a", "ab"))
    assert same_music(one, one)
    assert not same_music(one, more)


@pytest.mark.parametrize("styles", [0, 1, 2, 3, 15])
def test_candidate_seeds_are_distinct_and_the_first_is_that_of_tag(styles: int) -> None:
    def style_of(seed: int) -> str:
        return f"style {seed % styles}" if styles else ""

    def seeds_of(seed: int, candidates: int) -> list[int]:
        return candidate_seeds("key", seed, candidates, styles=styles, style_of=style_of)

    seeds = seeds_of(3, 20)
    assert seeds[0] == seed_for("key", 3)
    assert len(set(seeds)) == 20
    assert seeds_of(3, 7) == seeds[:7], "more candidates leave the others as they are"
    assert not {*seeds} & {*seeds_of(4, 20)}
    for number in range(20 - styles):
        in_a_row = seeds[number : number + styles]
        assert len(set(map(style_of, in_a_row))) == styles


@pytest.mark.parametrize(
    ("artist", "title", "stem"),
    [("Ada Lind", "Été (Live)", "ada-lind-ete-live-"), ("東京", "🎧", ""), ("../..", "C:\\", "c-"),
     ("x" * 300, "", "x" * 60 + "-"), ("", "CON", "con-")],
)  # fmt: skip
def test_file_stems_are_portable(tmp_path: Path, artist: str, title: str, stem: str) -> None:
    planned = album_entry(_plan(tmp_path, "a", artist=artist, title=title), (tmp_path,))
    assert file_stem(planned) == stem + planned.id


def test_plain_resolves_only_paths_with_dots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/inner")
    monkeypatch.chdir(tmp_path)
    assert plain(Path("link")) == tmp_path / "link"
    assert plain(Path("link/..")) == (tmp_path / "real").resolve()
