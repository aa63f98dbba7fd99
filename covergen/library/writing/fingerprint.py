"""Fingerprints: hashes of all bytes of a file, computed cheaply for a file and its replacement.

The two have most bytes in common, which are hashed once: a fingerprint is a hash of three hashes,
of the common start, the middle and the common end. It contains the lengths of start and end.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

from covergen.library.writing.change import NOTHING, file_hash
from covergen.library.writing.reversal import Reversal

_PARTIAL = re.compile(r"[0-9a-f]{64}:([0-9]{1,18}):([0-9]{1,18})")
_BLOCK_BYTES = 256 << 10


def fingerprints(old: Path, new: Path, reversal: Reversal) -> tuple[str, str]:
    """Return the fingerprints of a file and of its replacement. Raises OSError.

    `reversal` must be the result of comparing the two: it contains the number of shared bytes.
    """
    if reversal.patches:
        return file_hash(old), file_hash(new)
    head, tail = reversal.head, reversal.tail
    with old.open("rb") as old_file, new.open("rb") as new_file:
        start, middle, end = _hashes(old_file, head, tail)
        new_middle = _hash(new_file, head, _size(new_file) - tail)
    return _joined(start + middle + end, head, tail), _joined(start + new_middle + end, head, tail)


def has_fingerprint(path: Path, fingerprint: str) -> bool:
    """Whether the file at `path` has this fingerprint. Raises OSError."""
    if fingerprint == NOTHING:
        return False
    lengths = _PARTIAL.fullmatch(fingerprint)
    if lengths is None:  # a plain hash of the whole file
        return file_hash(path) == fingerprint
    head, tail = map(int, lengths.groups())
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
