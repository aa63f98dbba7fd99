"""What the checks run on: the device, the size of the models, and the models themselves."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import covergen.starter
from covergen.core.cover import PaintRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from covergen.core.cover import Sampling
    from covergen.diffusion.painter import Painter

__all__ = ["Record", "Setting", "Skip", "difference", "embeddings", "paint"]

_STARTER = Path(covergen.starter.__file__).parent / "weights"
_D_AUDIO = 512


class Skip(Exception):  # noqa: N818 - not an error
    """A check that does not apply to this device or size."""


@dataclass(frozen=True, slots=True)
class Record:
    """Sends measurements, and remembers those that miss their goal."""

    send: Callable[[dict[str, Any]], None]
    missed: list[str]

    def __call__(
        self,
        name: str,
        value: float | str | bool,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Record a measurement and its goal."""
        number = float(value) if not isinstance(value, str) else 0.0
        shown = float(f"{value:.6g}") if isinstance(value, float) else value
        message: dict[str, Any] = {"name": name, "value": shown}
        for word, goal, met in (
            ("at most", at_most, at_most is None or number <= at_most),
            ("at least", at_least, at_least is None or number >= at_least),
        ):
            if goal is not None:
                message["goal"] = f"{word} {goal:g}"
            if not met:
                self.missed.append(f"{name} is {shown}, expected {word} {goal:g}")
        self.send(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`size`: "full" for the starter and models of Stable Diffusion 1.5's size, or "tiny".

    `folder` holds the models that the checks make.
    """

    device: str
    size: Literal["tiny", "full"]
    folder: Path

    @property
    def torch_device(self) -> torch.device:
        """The device, for torch."""
        import torch

        return torch.device(self.device)

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a CUDA device."""
        return self.device.startswith("cuda")

    @property
    def is_tiny(self) -> bool:
        """Whether the models are tiny, with random weights."""
        return self.size == "tiny"

    def small_model(self) -> tuple[Path, Path]:
        """The base and the adapter for exact comparisons."""
        if not self.is_tiny:
            return _STARTER / "base", _STARTER / "adapter.safetensors"
        return self._tiny()

    def large_model(self) -> tuple[Path, Path]:
        """A base and an adapter of Stable Diffusion 1.5's size, with random weights."""
        if self.is_tiny:
            return self._tiny()
        if not self.is_cuda:
            raise Skip("takes hours on a CPU")
        from tests.benchmarks.models import base_and_adapter
        from tests.benchmarks.race import Setting as BenchmarkSetting

        return base_and_adapter(
            BenchmarkSetting(size="sd15", device=self.device, folder=self.folder)
        )

    def small_clap(self) -> Path:
        """The starter's CLAP."""
        return _STARTER / "clap"

    def large_clap(self) -> Path:
        """A CLAP of the size of larger_clap_music_and_speech, with random weights."""
        folder = self.folder / "clap"
        if self.is_tiny:
            return self.small_clap()
        if not folder.exists():
            _make_clap(folder, self.torch_device)
        return folder

    def _tiny(self) -> tuple[Path, Path]:
        from tests.tiny_base import make_tiny_adapter, make_tiny_base

        base, adapter = self.folder / "tiny", self.folder / "tiny.safetensors"
        if not adapter.exists():
            make_tiny_base(base)
            path = base / "vae" / "config.json"
            config = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps({**config, "force_upcast": False}), encoding="utf-8")
            make_tiny_adapter(adapter, base)
        return base, adapter


def _make_clap(folder: Path, device: torch.device) -> None:
    from transformers import ClapAudioConfig, ClapAudioModelWithProjection

    from covergen.diffusion.quiet import quiet

    config = ClapAudioConfig(
        patch_embeds_hidden_size=128,
        hidden_size=1024,
        depths=[2, 2, 12, 2],
        num_attention_heads=[4, 8, 16, 32],
        projection_dim=_D_AUDIO,
        projection_hidden_act="relu",
    )
    with device:
        model = ClapAudioModelWithProjection(config)
    with quiet():
        model.half().save_pretrained(folder)
    shutil.copy(_STARTER / "clap" / "preprocessor_config.json", folder)


def embeddings(count: int) -> NDArray[np.float32]:
    """Random vectors like CLAP's: (count, 512) float32, unit L2 norm."""
    vectors = np.random.default_rng(7).standard_normal((count, _D_AUDIO)).astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def paint(
    painter: Painter, count: int, sampling: Sampling, *, batch_size: int | None = None
) -> NDArray[np.uint8]:
    """Paint covers of random embeddings: (count, H, W, 3) uint8."""
    from covergen.diffusion.sampler import paint as paint_requests

    requests = [PaintRequest(vector=v, seed=i) for i, v in enumerate(embeddings(count))]
    pictures = paint_requests(
        painter, requests, sampling, batch_size=batch_size, check_interrupted=lambda: None
    )
    return np.stack(list(pictures))


def difference(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The absolute differences of pictures, in levels of 255."""
    found: NDArray[np.int16] = np.abs(left.astype(np.int16) - right.astype(np.int16))
    return found
