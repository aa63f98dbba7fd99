"""Two files that change places."""

import errno
from pathlib import Path

import pytest

from covergen.library.writing import exchange as exchanging
from covergen.library.writing.exchange import exchange


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "one é\udc80", tmp_path / "other"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    if not exchange(one, other):
        pytest.skip("this file system knows no exchange")
    return one, other


def test_each_has_the_other_ones_name(pair: tuple[Path, Path]) -> None:
    one, other = pair
    assert (one.read_bytes(), other.read_bytes()) == (b"2", b"1")


def test_a_link_itself_changes_places(pair: tuple[Path, Path], tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    assert exchange(link, pair[0])
    assert pair[0].is_symlink()
    assert link.read_bytes() == b"2"


def test_one_that_is_not_there_is_an_error_and_is_not_made(pair: tuple[Path, Path]) -> None:
    one, other = pair
    other.unlink()
    with pytest.raises(FileNotFoundError):
        exchange(one, other)
    assert one.read_bytes() == b"2"
    assert not other.exists()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_system_that_cannot_is_no_error(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    class Libc:
        @staticmethod
        def renameat2(*_: object) -> int:
            return -1

    monkeypatch.setattr(exchanging.ctypes, "CDLL", lambda *_, **__: Libc)
    monkeypatch.setattr(exchanging.ctypes, "get_errno", lambda: code)
    assert not exchange(*pair)
