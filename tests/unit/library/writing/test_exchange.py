"""Atomic exchange of two files."""

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
        pytest.skip("not supported by this file system")
    return one, other


def test_exchange_swaps_two_files(pair: tuple[Path, Path]) -> None:
    one, other = pair
    assert (one.read_bytes(), other.read_bytes()) == (b"2", b"1")


def test_exchange_swaps_links_themselves(pair: tuple[Path, Path], tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    assert exchange(link, pair[0])
    assert pair[0].is_symlink()
    assert link.read_bytes() == b"2"


def test_missing_file_raises_and_nothing_changes(pair: tuple[Path, Path]) -> None:
    one, other = pair
    other.unlink()
    with pytest.raises(FileNotFoundError):
        exchange(one, other)
    assert one.read_bytes() == b"2"
    assert not other.exists()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_unsupported_exchange_returns_false(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    class Libc:
        @staticmethod
        def renameat2(*_: object) -> int:
            return -1

    monkeypatch.setattr(exchanging.ctypes, "CDLL", lambda *_, **__: Libc)
    monkeypatch.setattr(exchanging.ctypes, "get_errno", lambda: code)
    assert not exchange(*pair)
