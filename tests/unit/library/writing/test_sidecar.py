"""cover.png and cover.jpg are written atomically, and never over an existing file."""

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from covergen.core.album import Status
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.writing import sidecar
from covergen.library.writing.sidecar import own_sidecars, write_sidecar
from tests.unit.library.written import JPEG, PNG


def without_hard_links(self: Path, target: Path) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize(("picture", "name"), [(PNG, "cover.png"), (JPEG, "cover.jpg")])
def test_write_sidecar(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    picture: Picture,
    name: str,
    *,
    hard_links: bool,
) -> None:
    if not hard_links:
        monkeypatch.setattr(Path, "hardlink_to", without_hard_links)

    outcome = write_sidecar(tmp_path, picture)

    path = tmp_path / name
    assert (outcome.path, outcome.status, outcome.reason) == (path, Status.WRITTEN, Reason.WRITTEN)
    assert path.read_bytes() == picture.data
    assert path.stat().st_nlink == 1
    assert list(tmp_path.iterdir()) == [path]


def test_sidecar_mode_follows_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write_sidecar(tmp_path, PNG)
    finally:
        os.umask(umask)

    assert stat.S_IMODE((tmp_path / "cover.png").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["cover.png", "Cover.PNG", "COVER.png"])
def test_existing_file_is_kept_ignoring_case(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")

    outcome = write_sidecar(tmp_path, PNG)

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.SIDECAR_EXISTS)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, b"mine")]


def test_dangling_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / "cover.png").symlink_to("elsewhere.png")

    assert write_sidecar(tmp_path, PNG).reason is Reason.SIDECAR_EXISTS

    assert [path.name for path in tmp_path.iterdir()] == ["cover.png"]


@pytest.mark.parametrize("hard_links", [True, False])
def test_file_created_at_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:
        monkeypatch.setattr(Path, "hardlink_to", without_hard_links)
    sync = sidecar.sync_file

    def late(path: Path) -> None:
        sync(path)
        (tmp_path / "cover.png").write_bytes(b"mine")

    monkeypatch.setattr(sidecar, "sync_file", late)

    outcome = write_sidecar(tmp_path, PNG)

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.SIDECAR_EXISTS)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("cover.png", b"mine")]


@pytest.mark.parametrize(("owner", "step"), [(Path, "replace"), (sidecar, "sync_file")])
def test_full_disk_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(Path, "hardlink_to", without_hard_links)
    monkeypatch.setattr(owner, step, full)

    outcome = write_sidecar(tmp_path, PNG)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.NO_SPACE)
    assert "No space left" in outcome.message
    assert list(tmp_path.iterdir()) == []


def test_read_only_folder_fails_even_for_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        outcome = write_sidecar(tmp_path, PNG)
    finally:
        tmp_path.chmod(0o755)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.READ_ONLY)
    assert list(tmp_path.iterdir()) == []


def test_own_sidecars_ignores_disk_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sidecar(tmp_path, replace(PNG, data=PNG.data + b"covergen:version"))
    assert own_sidecars(tmp_path) == [tmp_path / "cover.png"]

    failing = Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))
    monkeypatch.setattr(Path, "stat", failing)
    assert own_sidecars(tmp_path) == []


def test_missing_folder_fails(tmp_path: Path) -> None:
    outcome = write_sidecar(tmp_path / "gone", PNG)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CHANGED)
