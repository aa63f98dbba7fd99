"""Encode audio to a new file, with FFmpeg."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np

from covergen.core.atomic_write import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Suffix: muxer, encoder, bit rate (0: lossless).
_FORMATS = {
    ".mp3": ("mp3", "libmp3lame", 192_000),
    ".flac": ("flac", "flac", 0),
    ".m4a": ("ipod", "aac", 160_000),
    ".ogg": ("ogg", "vorbis", 160_000),
    ".opus": ("ogg", "libopus", 128_000),
    ".wav": ("wav", "pcm_s16le", 0),
}
SUFFIXES = tuple(_FORMATS)


def write_sound(
    path: Path,
    samples: NDArray[np.float32],
    *,
    sample_rate_hz: int,
    bits_per_second: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Encode (2, n) or (1, n) float32 in -1..1, in the format of the suffix: one of SUFFIXES.

    `bits_per_second`: None for the format's own, which is high. `tags` have FFmpeg's names: title,
    album_artist, track. The file is written atomically. Raises OSError.
    """
    muxer, codec, usual = _FORMATS[path.suffix]
    bit_rate = bits_per_second or usual
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    with replacing(path) as new, av.open(new, "w", format=muxer) as container:
        container.metadata.update(tags or {})
        stream = cast(
            "av.AudioStream", container.add_stream(codec, rate=sample_rate_hz, layout=layout)
        )
        stream.codec_context.options = {"strict": "experimental"}  # FFmpeg's own Vorbis
        if bit_rate:
            stream.bit_rate = bit_rate
        levels = (samples.clip(-1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(levels.T).reshape(1, -1), format="s16", layout=layout
        )
        frame.sample_rate = sample_rate_hz
        frame.pts, frame.time_base = 0, Fraction(1, sample_rate_hz)
        for sound in (frame, None):  # None flushes the encoder
            container.mux(stream.encode(sound))
