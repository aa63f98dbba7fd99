"""WavPack files of any sample rate; mutagen knows those of its table."""

from typing import BinaryIO

from mutagen.wavpack import WavPack, WavPackInfo

__all__ = ["AnyWavPack"]


class _Info(WavPackInfo):  # type: ignore[misc]  # mutagen is untyped
    def __init__(self, file: BinaryIO) -> None:
        try:
            super().__init__(file)
        except IndexError:  # the rate stands in a block of its own
            self.length = 0.0


class AnyWavPack(WavPack):  # type: ignore[misc]  # mutagen is untyped
    """As mutagen's, and of length 0 where the rate is unusual."""

    _Info = _Info
