"""A file reader with a limit, for files whose headers may contain wrong sizes."""

import errno
import io
from pathlib import Path

__all__ = ["BoundedReader"]

_MAX_BYTES = 64 << 20
_MIN_BYTES_PER_READ = 64  # so that a parser that loops over small reads stops as well


class BoundedReader(io.BufferedReader):
    """A binary file that returns at most 64 MiB in total, whatever sizes its headers contain.

    `failure` is the OSError that stopped reading, which mutagen would otherwise hide.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(str(path)))
        self.failure: OSError | None = None
        self._left = _MAX_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file. Raises OSError (EFBIG) when the limit is reached."""
        limit = self._left if size is None or size < 0 else min(size, self._left)
        try:
            data = super().read(limit)
        except OSError as error:
            self.failure = error
            raise
        self._left = max(0, self._left - max(len(data), _MIN_BYTES_PER_READ))
        if not self._left:
            raise OSError(errno.EFBIG, f"stopped after reading {_MAX_BYTES >> 20} MiB")
        return data
