"""WavPack files of any sample rate. mutagen supports only the standard rates."""

from typing import BinaryIO

from mutagen.wavpack import WavPack, WavPackInfo

__all__ = ["AnyWavPack"]


class _Info(WavPackInfo):  # type: ignore[misc]  # mutagen is untyped
    def __init__(self, file: BinaryIO) -> None:
        try:
            super().__init__(file)
        except IndexError:  # a non-standard rate, stored in a separate block
            self.length = 0.0


class AnyWavPack(WavPack):  # type: ignore[misc]  # mutagen is untyped
    """mutagen's WavPack, with length 0 if the sample rate is non-standard."""

    _Info = _Info
