"""The decoder process: `python -m covergen.audio.decoder_process`.

Messages on stdin and stdout are pickled. The first message is a LogMel; the reply is None. Then the
request (path, windows) returns the key of the file's excerpt, and None returns the log-mel of its
windows, once. If a file cannot be decoded, the reply is the DecodeError; for a bug, it is a
RuntimeError with the traceback.
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
from typing import TYPE_CHECKING, Any, TypeAlias

from covergen.audio.windows import read_excerpt
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.mel import LogMel
    from covergen.audio.windows import Excerpt


Request: TypeAlias = "tuple[Path, int] | None"
Reply: TypeAlias = "str | NDArray[np.float32] | DecodeError | RuntimeError"

# Enough for hours of music on a slow network; a damaged file might keep FFmpeg busy forever.
_TIMEOUT_SECONDS = 1800.0


def main() -> None:
    """Answer requests until stdin is closed, also if the parent process was killed."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # stray prints must not corrupt the replies
    requests: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(requests,), daemon=True).start()
    handler = _Handler(requests.get())
    reply: Reply | None = None
    with Path(os.devnull).open("w") as nowhere:
        while True:
            try:
                pickle.dump(reply, replies, protocol=pickle.HIGHEST_PROTOCOL)
                replies.flush()
            except BrokenPipeError:
                os._exit(0)
            request = requests.get()
            faulthandler.dump_traceback_later(_TIMEOUT_SECONDS, exit=True, file=nowhere)
            reply = handler.answer(request)
            faulthandler.cancel_dump_traceback_later()


def _listen(requests: SimpleQueue[Any]) -> None:
    """Queue requests; exit the process when stdin is closed, even while decoding."""
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - from our own process
    except EOFError:
        os._exit(0)
    except Exception:  # noqa: BLE001 - the other thread would wait forever
        traceback.print_exc()
        os._exit(2)


class _Handler:
    """Answers requests; remembers the last file."""

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
        except Exception:  # noqa: BLE001 - raised by the parent process
            return RuntimeError(traceback.format_exc())
        return self._excerpts[0].key


if __name__ == "__main__":
    main()
