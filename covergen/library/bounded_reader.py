"""Reading of files whose claims about their own sizes are not to be believed."""

import errno
import io
from pathlib import Path

__all__ = ["BoundedReader"]

_MOST_BYTES = 64 << 20
_BYTES_A_READ = 64  # each read counts for so many, so that reading in circles ends as well


class BoundedReader(io.BufferedReader):
    """A file that hands out no more than a scan may read, whatever sizes the file claims.

    `failure` is the system's own error, which mutagen would hide in one of its own.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(str(path)))
        self.failure: OSError | None = None
        self._left = _MOST_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does. Raises OSError (EFBIG) when the limit is reached."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        try:
            data = super().read(wanted)
        except OSError as error:
            self.failure = error
            raise
        self._left = max(0, self._left - max(len(data), _BYTES_A_READ))
        if not self._left:
            raise OSError(errno.EFBIG, f"more than {_MOST_BYTES >> 20} MiB of them")
        return data
