"""Decode music files to log-mel spectrograms in subprocesses.

Threads would block each other: PyAV acquires and releases the GIL several times per packet. And if
a damaged file crashes FFmpeg, only that subprocess dies.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import LifoQueue
from typing import IO, TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from covergen.core.errors import CovergenError, DecodeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.decoder_process import Reply, Request
    from covergen.audio.mel import LogMel

    _Result = TypeVar("_Result")
    _Parameters = ParamSpec("_Parameters")


_ONE_THREAD = dict.fromkeys(
    ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_NO_REPLY = (EOFError, OSError, pickle.UnpicklingError)
_TIMED_OUT = 1  # exit status set by faulthandler; a crash is a signal


class Decoders:
    """A pool of `count` decoder processes, with one waiting thread each."""

    def __init__(self, count: int, log_mel: LogMel) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")
        self._all = [Decoder(log_mel) for _ in range(count)]
        self._free: LifoQueue[Decoder] = LifoQueue()  # LIFO: start no more processes than needed
        for decoder in self._all:
            self._free.put(decoder)

    def submit(
        self,
        work: Callable[Concatenate[Decoder, _Parameters], _Result],
        /,
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> Future[_Result]:
        """Run `work` in a thread, with a decoder of its own as first argument."""

        def run() -> _Result:
            decoder = self._free.get()
            try:
                return work(decoder, *args, **kwargs)
            finally:
                self._free.put(decoder)

        return self._threads.submit(run)

    def close(self) -> None:
        """Kill all processes and wait for the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for decoder in self._all:
            decoder.stop()
        self._threads.shutdown(wait=True)
        for decoder in self._all:
            decoder.close()


class Decoder:
    """A decoder process, started on first use; to be used by one thread at a time.

    It ends when it is closed, or when this process ends for any reason.
    """

    def __init__(self, log_mel: LogMel) -> None:
        self._log_mel = log_mel
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def read(self, path: Path, windows: int) -> str:
        """Return the key of a file's Excerpt. Raises as `read_excerpt`, and CovergenError."""
        if self._process and self._process.poll() is not None:  # killed while idle
            self.close()
        if self._process is None:
            self._start()
        return cast("str", self._request(path, (path, windows)))

    def decode(self, path: Path) -> NDArray[np.float32]:
        """Return the log-mel of the file that was read last. Raises as `Excerpt.decode`."""
        return cast("NDArray[np.float32]", self._request(path, None))

    def stop(self) -> None:
        """Kill the process, from any thread; later requests fail."""
        self._stopped = True
        if process := self._process:  # another thread may be closing it
            process.kill()

    def close(self) -> None:
        """Kill the process if it is running."""
        if self._process is not None:
            with suppress(BrokenPipeError), self._process as process:
                process.kill()
            self._process = None

    def _start(self) -> None:
        try:
            self._process = _start_process()
            if self._stopped:
                self._process.kill()
            _exchange(self._process, self._log_mel)
        except _NO_REPLY as error:
            self.close()
            raise CovergenError(
                f"The decoder process failed to start: {str(error) or 'it exited'}.",
                hint="See its output above. If memory is short, use fewer --jobs.",
            ) from error

    def _request(self, path: Path, request: Request) -> Reply:
        process = cast("subprocess.Popen[bytes]", self._process)
        try:
            reply: Reply = _exchange(process, request)
        except _NO_REPLY as error:
            self.close()
            timed_out = process.returncode == _TIMED_OUT
            message = (
                "decoding took more than half an hour" if timed_out else "FFmpeg crashed on it"
            )
            raise DecodeError(path, message, hint=DecodeError.DAMAGED) from error
        if isinstance(reply, Exception):
            raise reply
        return reply


def _start_process() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "covergen.audio.decoder_process"],
        # Import modules from the same places as this process.
        env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(map(_entry, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # not to receive Ctrl-C
    )


def _entry(entry: str) -> str:
    return str(entry) or os.curdir


def _exchange(process: subprocess.Popen[bytes], message: LogMel | Request) -> Any:  # noqa: ANN401 - see decoder_process
    requests = cast("IO[bytes]", process.stdin)
    pickle.dump(message, requests)
    requests.flush()
    return pickle.load(cast("IO[bytes]", process.stdout))  # noqa: S301 - from our own process
