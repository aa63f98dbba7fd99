"""What a file is known again by: a hash of all its bytes.

A file and what takes its place have most of their bytes in common, and those are hashed once: the
fingerprints of both are hashes of hashes, of the start and the end that they share, and of what
lies between. Where they are cut stands in the fingerprint.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

from covergen.library.writing.change import NOTHING, file_hash
from covergen.library.writing.reversal import Reversal

__all__ = ["fingerprints", "has_fingerprint"]

_CUT = re.compile(r"[0-9a-f]{64}:([0-9]{1,18}):([0-9]{1,18})")
_BLOCK_BYTES = 256 << 10


def fingerprints(old: Path, new: Path, reversal: Reversal) -> tuple[str, str]:
    """Those of a file and of the one that takes its place. Raises OSError.

    `reversal` was found by comparing the two: what it keeps of the new one is as in the old one.
    """
    if reversal.patches:
        return file_hash(old), file_hash(new)
    head, tail = reversal.head, reversal.tail
    with old.open("rb") as old_file, new.open("rb") as new_file:
        start, middle, end = _hashes(old_file, head, tail)
        new_middle = _hash(new_file, head, _size(new_file) - tail)
    return _joined(start + middle + end, head, tail), _joined(start + new_middle + end, head, tail)


def has_fingerprint(path: Path, fingerprint: str) -> bool:
    """Whether the file is there, and the very one that has this fingerprint. Raises OSError."""
    if fingerprint == NOTHING:
        return False
    cut = _CUT.fullmatch(fingerprint)
    if cut is None:  # nothing was shared
        return file_hash(path) == fingerprint
    head, tail = map(int, cut.groups())
    with path.open("rb") as file:
        if _size(file) < head + tail:
            return False
        return _joined(b"".join(_hashes(file, head, tail)), head, tail) == fingerprint


def _hashes(file: BinaryIO, head: int, tail: int) -> tuple[bytes, bytes, bytes]:
    size = _size(file)
    end = size - tail
    return _hash(file, 0, head), _hash(file, head, end), _hash(file, end, size)


def _hash(file: BinaryIO, start: int, end: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(start)
    while block := file.read(min(_BLOCK_BYTES, end - start)):
        digest.update(block)
        start += len(block)
    return digest.digest()


def _joined(hashes: bytes, head: int, tail: int) -> str:
    return f"{hashlib.sha256(hashes).hexdigest()}:{head}:{tail}"


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)
