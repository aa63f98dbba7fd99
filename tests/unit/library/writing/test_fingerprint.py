"""A fingerprint identifies one file, and the bytes that two files share are hashed once."""

import hashlib
import random
from pathlib import Path

import pytest

from covergen.library.writing.change import NOTHING
from covergen.library.writing.fingerprint import fingerprints, has_fingerprint
from covergen.library.writing.reversal import find_reversal

_SOUND = random.Random(1).randbytes(300_000)
_PAIRS = {
    "a picture before the sound": (b"head" + _SOUND, b"head, picture" + _SOUND),
    "a picture after the sound": (_SOUND + b"tail", _SOUND + b"picture, tail"),
    "a picture in the middle": (_SOUND + b"|" + _SOUND, _SOUND + b"picture" + _SOUND),
    "changed numbers": (b"1234" + _SOUND + b"x", b"5678" + _SOUND + b"picture"),
    "nothing in common": (_SOUND, _SOUND[::-1]),
    "nothing before": (b"", _SOUND),
    "nothing after": (_SOUND, b""),
}


def _write(folder: Path, old: bytes, new: bytes) -> tuple[Path, Path]:
    paths = folder / "old", folder / "new"
    for path, data in zip(paths, (old, new), strict=True):
        path.write_bytes(data)
    return paths


def _found(old: Path, new: Path) -> tuple[str, str]:
    reversal = find_reversal(old, new)
    assert reversal is not None
    return fingerprints(old, new, reversal)


@pytest.mark.parametrize("pair", _PAIRS.values(), ids=_PAIRS.keys())
def test_fingerprint_matches_only_its_file(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    paths = _write(tmp_path, *pair)
    found = _found(*paths)
    for path, own, other in zip(paths, found, found[::-1], strict=True):
        assert has_fingerprint(path, own)
        assert not has_fingerprint(path, other)
        data = path.read_bytes()
        source = random.Random(2)
        for place in [0, len(data) - 1, *(source.randrange(len(data)) for _ in data[:10])]:
            if data:
                flipped = bytearray(data)
                flipped[place] ^= 1
                path.write_bytes(flipped)
                assert not has_fingerprint(path, own)
        for changed in (data[:-1] or b"\0", data[1:] or b"\0", data + b"\0", b"\0" + data):
            path.write_bytes(changed)
            assert not has_fingerprint(path, own)
        path.write_bytes(data)


def test_fingerprint_format(tmp_path: Path) -> None:
    old, new = _write(tmp_path, b"head" + _SOUND, b"head, picture" + _SOUND)
    before, after = _found(old, new)

    def joined(*parts: bytes) -> str:
        hashes = b"".join(hashlib.sha256(part).digest() for part in parts)
        return hashlib.sha256(hashes).hexdigest()

    assert before == f"{joined(b'head', b'', _SOUND)}:4:300000"
    assert after == f"{joined(b'head', b', picture', _SOUND)}:4:300000"


def test_plain_hash_is_a_valid_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "song"
    path.write_bytes(_SOUND)
    assert has_fingerprint(path, hashlib.sha256(_SOUND).hexdigest())
    assert not has_fingerprint(path, hashlib.sha256(_SOUND[:-1]).hexdigest())


@pytest.mark.parametrize(
    "nonsense", [NOTHING, "x", "0" * 64, f"{'0' * 64}:1:2", f"{'0' * 64}:-1:2", f"{'0' * 64}:9:9:9"]
)
def test_invalid_fingerprint_matches_no_file(tmp_path: Path, nonsense: str) -> None:
    path = tmp_path / "song"
    for data in (b"", b"12345"):
        path.write_bytes(data)
        assert not has_fingerprint(path, nonsense)
