"""Decoder processes that tests share, since starting them takes as long as a small test."""

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest

from covergen.audio.decoder_pool import Decoders
from covergen.audio.mel import LogMel

__all__ = ["kept_decoders", "open_decoders"]

_START = Path.cwd()


class _Kept(Decoders):
    """Stays open: `close` only waits for the threads that use what the caller has."""

    def __init__(self, count: int, log_mel: LogMel) -> None:
        super().__init__(count, log_mel)
        self._begun: list[Future[Any]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._begun.append(super().submit(work, *args, **kwargs))
        return self._begun[-1]

    def close(self) -> None:
        for future in self._begun:
            future.cancel()
        wait(self._begun)
        self._begun.clear()


@pytest.fixture(scope="session")
def open_decoders() -> Iterator[dict[object, _Kept]]:
    decoders: dict[object, _Kept] = {}
    yield decoders
    for kept in decoders.values():
        Decoders.close(kept)


@pytest.fixture
def kept_decoders(open_decoders: dict[object, _Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(count: int, log_mel: LogMel) -> Decoders:
        if Path.cwd() != _START:  # where the kept processes are
            return Decoders(count, log_mel)
        key = count, pickle.dumps(log_mel)
        if key not in open_decoders:
            open_decoders[key] = _Kept(count, log_mel)
        return open_decoders[key]

    monkeypatch.setattr("covergen.audio.embed_tracks.Decoders", keep)
