"""Encode sound in every container that covergen supports."""

import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.media.dsd import dff, dsf
from tests.media.sound import sound
from tests.media.tags import put_tags

__all__ = ["CONTAINERS", "EXTENSION", "encode"]

EXTENSION = {
    "mp3": ".mp3",
    "flac": ".flac",
    "mp4": ".m4a",
    "vorbis": ".ogg",
    "opus": ".opus",
    "speex": ".spx",
    "oggflac": ".oga",
    "wav": ".wav",
    "aiff": ".aiff",
    "asf": ".wma",
    "ape": ".ape",
    "wavpack": ".wv",
    "musepack": ".mpc",
    "tta": ".tta",
    "dsf": ".dsf",
    "dff": ".dff",
    "matroska": ".mka",
}
CONTAINERS = tuple(EXTENSION)

_BLOCK = 4096
_FIXED = ("speex", "ape", "musepack")
_FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """How PyAV writes a container. `sample_rate` is the codec's only rate, or 0 for any."""

    muxer: str
    codec: str
    sample_rate: int = 0
    sample_format: str = ""
    bit_rate: int = 0
    codec_options: Mapping[str, str] = field(default_factory=dict)
    muxer_options: Mapping[str, str] = field(default_factory=dict)


_RECIPES = {
    # FFmpeg's own ID3 tag is disabled; tests add their tags.
    "mp3": _Recipe(muxer="mp3", codec="libmp3lame", muxer_options={"id3v2_version": "0"}),
    "flac": _Recipe(muxer="flac", codec="flac"),
    "mp4": _Recipe(muxer="ipod", codec="aac"),
    "vorbis": _Recipe(muxer="ogg", codec="vorbis", codec_options={"strict": "experimental"}),
    "opus": _Recipe(muxer="opus", codec="libopus", sample_rate=48_000),
    "alac": _Recipe(muxer="ipod", codec="alac"),
    "matroska": _Recipe(muxer="matroska", codec="flac"),
    "adts": _Recipe(muxer="adts", codec="aac"),
    "ac3": _Recipe(muxer="ac3", codec="ac3", bit_rate=192_000),
    "caf": _Recipe(muxer="caf", codec="pcm_s16le"),
    "w64": _Recipe(muxer="w64", codec="pcm_s16le"),
    "oggflac": _Recipe(muxer="ogg", codec="flac"),
    "wav": _Recipe(muxer="wav", codec="pcm_s16le"),
    "aiff": _Recipe(muxer="aiff", codec="pcm_s16be"),
    "asf": _Recipe(muxer="asf", codec="wmav2", bit_rate=128_000),
    "tta": _Recipe(muxer="tta", codec="tta", sample_format="s16"),
}


def encode(
    path: Path,
    container: str,
    samples: NDArray[np.float32] | None = None,
    *,
    seconds: float = 3.0,
    kind: str = "chord",
    seed: int = 0,
    sample_rate: int = 44_100,
    tags: Mapping[str, str] | None = None,
    id3_version: int = 3,
    alac: bool = False,
) -> Path:
    """Write a music file to `path`, creating its folder, and return the path.

    `samples`: (channels, samples) float32 at `sample_rate` Hz, else `sound(kind, seconds, …)`.
    Tags are named as in `put_tags`. Speex, APE and Musepack have no encoder here: those files are
    copies of a fixture, whatever sound is asked for. `alac`: MP4 with that codec instead of AAC.
    "adts", "ac3", "caf" and "w64" are made as well, and take no tags.
    Raises ValueError where there is no sound to encode: the muxers write nothing then, or hang.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if container in _FIXED:
        shutil.copyfile(_FIXTURES / f"melody{EXTENSION[container]}", path)
    else:
        if samples is None:
            samples = sound(kind, seconds, sample_rate=sample_rate, seed=seed)
        if not samples.size:
            raise ValueError(f"no sound to encode into {path}")
        _write(path, "alac" if alac else container, samples, sample_rate)
    if tags:
        put_tags(path, container, tags, id3_version=id3_version)
    return path


def _write(path: Path, name: str, samples: NDArray[np.float32], sample_rate: int) -> None:
    match name:
        case "dsf":
            path.write_bytes(dsf(samples, sample_rate))
        case "dff":
            path.write_bytes(dff(samples, sample_rate))
        case "wavpack":
            path.write_bytes(_wavpack(samples, sample_rate))
        case _:
            _mux(path, _RECIPES[name], samples, sample_rate)


def _mux(path: Path, recipe: _Recipe, samples: NDArray[np.float32], sample_rate: int) -> None:
    options = {"fflags": "+bitexact", **recipe.muxer_options}
    with av.open(str(path), "w", format=recipe.muxer, container_options=options) as file:
        stream = file.add_stream(
            recipe.codec,
            rate=recipe.sample_rate or sample_rate,
            layout=_layout(samples),
            options={"flags": "+bitexact", **recipe.codec_options},
        )
        assert isinstance(stream, av.AudioStream)
        if recipe.bit_rate:
            stream.bit_rate = recipe.bit_rate
        if recipe.sample_format:
            stream.format = recipe.sample_format
        for frame in _frames(samples, sample_rate):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _wavpack(samples: NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode WavPack without a muxer, which PyAV lacks: a file is a sequence of blocks.

    The first block's header contains the total number of samples at byte 12.
    """
    codec = av.CodecContext.create("wavpack", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = sample_rate, _layout(samples), "s16p"
    blocks = [
        bytes(packet)
        for frame in (*_frames(samples, sample_rate), None)
        for packet in codec.encode(frame)
    ]
    data = bytearray(b"".join(blocks))
    struct.pack_into("<I", data, 12, samples.shape[1])
    return bytes(data)


def _layout(samples: NDArray[np.float32]) -> str:
    return {1: "mono", 2: "stereo"}[samples.shape[0]]


def _frames(samples: NDArray[np.float32], sample_rate: int) -> Iterator[av.AudioFrame]:
    for start in range(0, samples.shape[1], _BLOCK):
        block = np.ascontiguousarray(samples[:, start : start + _BLOCK])
        frame = av.AudioFrame.from_ndarray(block, "fltp", _layout(samples))
        frame.sample_rate = sample_rate
        frame.pts = start
        yield frame
