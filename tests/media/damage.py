"""Damage files as full disks, interrupted downloads and failing drives do."""

from pathlib import Path

import numpy as np

__all__ = ["corrupted", "truncated"]


def truncated(path: Path, fraction: float) -> Path:
    """Truncate a file, in place, to a fraction of its size."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def corrupted(path: Path, seed: int, *, share: float = 0.02, spared: int = 0) -> Path:
    """Change, in place, a share of a file's bytes at random positions.

    The first `spared` bytes are kept.
    """
    random = np.random.default_rng(seed)
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
    count = max(1, int((data.size - spared) * share))
    positions = spared + random.choice(data.size - spared, size=count, replace=False)
    data[positions] ^= random.integers(1, 256, size=count, dtype=np.uint8)
    path.write_bytes(data.tobytes())
    return path
