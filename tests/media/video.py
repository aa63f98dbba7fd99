"""A clip with moving pictures, or stills, beside its sound."""

from pathlib import Path

import av
import numpy as np

__all__ = ["video"]


def video(path: Path, *, codec: str = "mpeg4", frames: int = 5, tags: dict[str, str]) -> Path:
    """Make a clip in the container that the extension says."""
    with av.open(path, "w") as file:
        file.metadata.update(tags)
        pictures = file.add_stream(codec, rate=10)
        assert isinstance(pictures, av.VideoStream)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        sound = file.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48_000)
        assert isinstance(sound, av.AudioStream)
        for number in range(frames):
            image = np.full((64, 64, 3), 40 * number, np.uint8)
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(pictures.encode(None))
        for start in range(0, 24_000, 960):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 960), np.float32), "fltp", "stereo")
            silence.sample_rate, silence.pts = 48_000, start
            file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
    return path
