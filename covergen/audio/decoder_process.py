"""A process that decodes music files: `python -m covergen.audio.decoder_process`.

What is said on stdin and stdout is pickled. The first message is a LogMel, answered by None. Then
(path, windows) asks for the key of the file's excerpt, and None for the log-mel of its windows,
once. The reply to a file that cannot be decoded is the DecodeError, to a fault of the program's own
a RuntimeError of its traceback.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import traceback
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

from covergen.audio.windows import read_excerpt
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.mel import LogMel
    from covergen.audio.windows import Excerpt

__all__ = ["Reply", "Request"]

Request: TypeAlias = "tuple[Path, int] | None"
Reply: TypeAlias = "str | NDArray[np.float32] | DecodeError | RuntimeError"

# Enough for hours of music on a slow network. Damage might keep FFmpeg busy for ever.
_MOST_SECONDS = 1800.0


def main() -> None:
    """Answer until stdin ends, be it because the process that asks was killed."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # where whatever prints will print
    requests: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(requests,), daemon=True).start()
    decoding = _Decoding(requests.get())
    reply: Reply | None = None
    with Path(os.devnull).open("w") as nowhere:
        while True:
            try:
                pickle.dump(reply, replies, protocol=pickle.HIGHEST_PROTOCOL)
                replies.flush()
            except BrokenPipeError:
                os._exit(0)
            request = requests.get()
            faulthandler.dump_traceback_later(_MOST_SECONDS, exit=True, file=nowhere)
            reply = decoding.answer(request)
            faulthandler.cancel_dump_traceback_later()


def _listen(requests: SimpleQueue[Any]) -> None:
    """End the process with stdin, also in the midst of a file."""
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - of covergen's own
    except EOFError:
        os._exit(0)
    except Exception:  # noqa: BLE001 - or the other thread would wait for ever
        traceback.print_exc()
        os._exit(2)


class _Decoding:
    """The file that was asked for last."""

    def __init__(self, log_mel: LogMel) -> None:
        self._log_mel = log_mel
        self._excerpts: list[Excerpt] = []

    def answer(self, request: Request) -> Reply:
        try:
            if request is None:
                windows = self._excerpts.pop().decode(repeat=self._log_mel.repeats)
                return self._log_mel(windows)
            self._excerpts = [read_excerpt(*request)]
        except DecodeError as error:
            return error
        except Exception:  # noqa: BLE001 - it is raised by who asked
            return RuntimeError(traceback.format_exc())
        return self._excerpts[0].key


if __name__ == "__main__":
    main()
