"""Music files to log-mel spectrograms, in processes beside this one.

Threads would wait for each other: PyAV takes and gives Python's lock several times a packet. And
what a damaged file does to FFmpeg, it does to that process alone.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import LifoQueue
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from covergen.core.errors import CovergenError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path
    from typing import IO, Any

    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.decoder_process import Reply, Request
    from covergen.audio.mel import LogMel

    _Result = TypeVar("_Result")
    _Parameters = ParamSpec("_Parameters")

__all__ = ["Decoder", "Decoders"]

_ONE_THREAD = dict.fromkeys(
    ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_NO_REPLY = (EOFError, OSError, pickle.UnpicklingError)
_TOO_SLOW = 1  # as faulthandler ends a process; a crash is a signal


class Decoders:
    """At most so many processes that decode at once, and a thread for each that waits for it."""

    def __init__(self, count: int, log_mel: LogMel) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")
        self._all = [Decoder(log_mel) for _ in range(count)]
        self._free: LifoQueue[Decoder] = LifoQueue()  # the last, so that none is started for few
        for decoder in self._all:
            self._free.put(decoder)

    def submit(
        self,
        work: Callable[Concatenate[Decoder, _Parameters], _Result],
        /,
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> Future[_Result]:
        """Have a thread do some work with a process of its own."""

        def do() -> _Result:
            decoder = self._free.get()
            try:
                return work(decoder, *args, **kwargs)
            finally:
                self._free.put(decoder)

        return self._threads.submit(do)

    def close(self) -> None:
        """End all processes, whatever they do, and wait for the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for decoder in self._all:
            decoder.stop()
        self._threads.shutdown(wait=True)
        for decoder in self._all:
            decoder.close()


class Decoder:
    """A process that decodes, begun when it is first asked; it answers one thread at a time.

    It ends when it is closed, or when this process does, in whatever way.
    """

    def __init__(self, log_mel: LogMel) -> None:
        self._log_mel = log_mel
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def read(self, path: Path, windows: int) -> str:
        """Return the key of a file's Excerpt; as `read_excerpt`. Raises CovergenError too."""
        if self._process and self._process.poll() is not None:  # killed while it had nothing to do
            self.close()
        if self._process is None:
            self._begin()
        return cast("str", self._ask(path, (path, windows)))

    def decode(self, path: Path) -> NDArray[np.float32]:
        """Return the log-mel of the windows of `path`, which was read last; as Excerpt.decode."""
        return cast("NDArray[np.float32]", self._ask(path, None))

    def stop(self) -> None:
        """End what is being decoded, and whatever comes after it, in another thread."""
        self._stopped = True
        if process := self._process:  # which its thread may be closing
            process.kill()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            with suppress(BrokenPipeError), self._process as process:
                process.kill()
            self._process = None

    def _begin(self) -> None:
        try:
            self._process = _start()
            if self._stopped:
                self._process.kill()
            _say(self._process, self._log_mel)
        except _NO_REPLY as error:
            self.close()
            raise CovergenError(
                f"The process that decodes music does not start: {str(error) or 'it ended'}.",
                hint="What it says above may tell why. If memory is short, ask for fewer --jobs.",
            ) from error

    def _ask(self, path: Path, request: Request) -> Reply:
        process = cast("subprocess.Popen[bytes]", self._process)
        try:
            reply: Reply = _say(process, request)
        except _NO_REPLY as error:
            self.close()
            slow = process.returncode == _TOO_SLOW
            message = "half an hour was not enough" if slow else "FFmpeg crashed on it"
            raise DecodeError(path, message, hint=DecodeError.DAMAGED) from error
        if isinstance(reply, Exception):
            raise reply
        return reply


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "covergen.audio.decoder_process"],
        # Modules are found where this process finds them.
        env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(map(_place, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is not for it
    )


def _place(entry: str) -> str:
    return str(entry) or os.curdir


def _say(process: subprocess.Popen[bytes], message: LogMel | Request) -> Any:  # noqa: ANN401 - as said in decoder_process
    requests = cast("IO[bytes]", process.stdin)
    pickle.dump(message, requests)
    requests.flush()
    return pickle.load(cast("IO[bytes]", process.stdout))  # noqa: S301 - of covergen's own
