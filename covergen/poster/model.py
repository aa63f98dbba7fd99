"""The poster model: the procedural painter, driven by a mood probe on CLAP embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from covergen.core.errors import AdapterError, UsageError
from covergen.poster.attributes import Attributes
from covergen.poster.painter import paint, parse_style

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.core.cover import PaintRequest, Sampling


_SIZE = 1024  # pixels
_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MoodProbe:
    """A linear map from an embedding to the eleven music attributes, each scaled to 0..1.

    weight: (11, d_audio); bias: (11,). Its outputs are rescaled to the standard deviation of the
    training attributes, since the predictions of a regression cluster around the mean.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def read(self, vector: NDArray[np.float32]) -> Attributes:
        """Return a track's or album's attributes. vector: (d_audio,) float32, unit L2 norm."""
        return Attributes.from_row(np.clip(self.weight @ vector + self.bias, 0, 1).tolist())

    @classmethod
    def fit(
        cls, vectors: NDArray[np.float32], attributes: NDArray[np.float32], *, ridge: float
    ) -> MoodProbe:
        """Fit by ridge regression. vectors: (N, d_audio); attributes: (N, 11), each 0..1."""
        middle, mean = vectors.mean(0), attributes.mean(0)
        centered = (vectors - middle).astype(np.float64)
        gram = centered.T @ centered
        penalty = ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
        weight = np.linalg.solve(gram + penalty, centered.T @ (attributes - mean)).T
        spread = attributes.std(0) / (centered @ weight.T).std(0)
        weight = weight * spread[:, None]
        bias = mean - weight @ middle
        return cls(weight=weight.astype(np.float32), bias=bias.astype(np.float32))

    def to_bytes(self) -> bytes:
        """Serialize to the bytes of a safetensors file."""
        # safetensors ignores strides.
        return save({"weight": np.ascontiguousarray(self.weight), "bias": self.bias})


@dataclass(frozen=True, slots=True, kw_only=True)
class Poster:
    """The poster model: a probe and the SHA-256 of its file. See `parse_style` for styles."""

    probe: MoodProbe
    sha256: str

    def paint_batches(
        self,
        requests: Iterable[PaintRequest],
        sampling: Sampling,  # noqa: ARG002 - not used: the model does not sample
        *,
        batch_size: int | None,
        check_interrupted: Callable[[], None],
        on_step: Callable[[int, float], None] = lambda *_: None,
        size: int | None = None,
    ) -> Iterator[list[NDArray[np.uint8]]]:
        """Paint the requests in order and yield batches of (size, size, 3) uint8 sRGB pictures.

        `check_interrupted` is called before each picture and may raise Interrupted; `on_step` after
        it, with the size of the batch and the share of it that is done.
        """
        waiting = iter(requests)
        while batch := list(islice(waiting, batch_size or _BATCH)):
            pictures = []
            for request in batch:
                check_interrupted()
                pictures.append(self._paint(request, size or _SIZE))
                on_step(len(batch), len(pictures) / len(batch))
            yield pictures

    def _paint(self, request: PaintRequest, size: int) -> NDArray[np.uint8]:
        even = size + size % 2  # the painter requires an even size
        rng = np.random.default_rng(request.seed)
        attributes = self.probe.read(request.vector)
        painting = paint(attributes, rng, size=even, style=request.style or None, grain=False)
        return painting.pixels[:size, :size]


def check_styles(styles: Iterable[str]) -> None:
    """Raise UsageError if the painter does not know a style."""
    for style in styles:
        try:
            parse_style(style)
        except ValueError as error:
            raise UsageError(
                f"The poster model has no style {style!r}.", hint=str(error)
            ) from error


def load_poster(file: Path, *, d_audio: int, styles: Sequence[str] = ()) -> Poster:
    """Load a poster model for embeddings of length `d_audio`.

    Raises AdapterError if the file is not a fitting probe, OSError if it cannot be read, and
    UsageError if the painter does not know a style.
    """
    check_styles(styles)
    data = file.read_bytes()
    try:
        tensors = load(data)
        probe = MoodProbe(weight=tensors["weight"], bias=tensors["bias"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise AdapterError(f"{file} is not a mood probe: {error}.") from error
    expected = (len(fields(Attributes)), d_audio)
    if probe.weight.shape != expected or probe.bias.shape != expected[:1]:
        raise AdapterError(
            f"{file} does not match the CLAP model: the probe has shape {probe.weight.shape},"
            f" expected {expected}."
        )
    return Poster(probe=probe, sha256=hashlib.sha256(data).hexdigest())
