"""Names from anywhere stay inside their folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from covergen.core.safe_path import inside, is_inner_name


@pytest.mark.parametrize(
    "name", ["a", "a/b.mp3", "AC⚡DC/雪.flac", "..a", "a..", "...", " ", "\udcff"]
)
def test_a_name_that_leads_downwards_is_one(tmp_path: Path, name: str) -> None:
    assert is_inner_name(name)
    assert inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "/a", "a/", "a//b", "a/./b", "a/../b", "../a", "a\0", "\ud800"]
)
def test_any_other_is_refused(tmp_path: Path, name: str) -> None:
    assert not is_inner_name(name)
    with pytest.raises(ValueError, match="not a valid file name in"):
        inside(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["C:", "C:/a", "C:a", "a/C:/b", r"a\b", r"..\a", r"\\host\share\a"]
)
def test_drives_and_backslashes_are_names_where_they_mean_nothing(name: str) -> None:
    assert not is_inner_name(name, PureWindowsPath)
    assert is_inner_name(name, PurePosixPath)


def test_links_must_stay_inside_or_lead_to_where_they_may(tmp_path: Path) -> None:
    library, other = tmp_path / "library", tmp_path / "other"
    (library / "real").mkdir(parents=True)
    other.mkdir()
    (library / "within").symlink_to("real")
    (library / "out").symlink_to(other)
    (library / "loop").symlink_to("loop")
    (tmp_path / "name").symlink_to(library)

    assert inside(library, "within/a") == library / "within/a"
    assert inside(tmp_path / "name", "within/a") == tmp_path / "name/within/a"
    assert inside(library, "out/a", also=[other]) == library / "out/a"
    assert inside(library, "loop") == library / "loop"
    with pytest.raises(ValueError, match="leads out"):
        inside(library, "out/a")
