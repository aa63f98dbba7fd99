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
from pathlib import Path
from queue import LifoQueue
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

import covergen
from covergen.audio.av_errors import HINT
from covergen.core.errors import CovergenError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import IO

    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.decoder_process import Reply, Request
    from covergen.audio.mel import LogMel

    _Result = TypeVar("_Result")
    _Parameters = ParamSpec("_Parameters")

__all__ = ["Decoder", "Decoders"]


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

    def read(self, path: Path, windows: int) -> str:
        """Return the key of a file's Excerpt; as `read_excerpt`."""
        return cast("str", self._ask(path, (path, windows)))

    def decode(self, path: Path) -> NDArray[np.float32]:
        """Return the log-mel of the windows of `path`, which was read last; as Excerpt.decode."""
        return cast("NDArray[np.float32]", self._ask(path, None))

    def stop(self) -> None:
        """End what is being decoded, whatever thread waits for it."""
        if process := self._process:  # which its thread may be closing
            process.kill()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            with suppress(BrokenPipeError), self._process as process:
                process.kill()
            self._process = None

    def _ask(self, path: Path, request: Request) -> Reply:
        try:
            if self._process is None:
                self._process = _begin()
                _send(self._process, self._log_mel)
            _send(self._process, request)
            replies = cast("IO[bytes]", self._process.stdout)
            reply: Reply = pickle.load(replies)  # noqa: S301 - of covergen's own
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            message = "FFmpeg crashed on it, or found no end in ten minutes"
            raise DecodeError(path, message, hint=HINT) from error
        if isinstance(reply, Exception):
            raise reply
        return reply


def _begin() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "covergen.audio.decoder_process"],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is not for it
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        raise CovergenError(
            f"No process can be started to decode music: {error.strerror}.",
            hint="Close other programs, or ask for fewer --jobs.",
        ) from error


def _send(process: subprocess.Popen[bytes], message: LogMel | Request) -> None:
    requests = cast("IO[bytes]", process.stdin)
    pickle.dump(message, requests)
    requests.flush()


def _environment() -> dict[str, str]:
    """Modules are found where this process finds them; BLAS starts no threads beside so many."""
    package = Path(covergen.__file__).parents[1]
    modules = os.pathsep.join([str(package), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": modules, "OPENBLAS_NUM_THREADS": "1"}
