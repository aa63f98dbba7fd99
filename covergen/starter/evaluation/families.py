"""A classifier of picture families, trained only on the painter's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from covergen.compute.device import has_bfloat16
from covergen.starter.recipe.vae import pixels_to_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


_CHANNELS = (32, 64, 128, 192)
_BATCH = 64
_EPOCHS = 8
_RATE = 2e-3
_PREDICT_BATCH = 64


class FamilyClassifier:
    """A small residual network for thumbnails of 128 pixels."""

    def __init__(self, families: int) -> None:
        torch.manual_seed(0)
        self.network = _make_network(families)

    def fit(self, thumbs: NDArray[np.uint8], labels: NDArray[np.intp]) -> None:
        """Train from scratch. thumbs: (N, 128, 128, 3) uint8; labels: (N,)."""
        steps = _EPOCHS * (len(thumbs) // _BATCH)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
        bfloat16 = has_bfloat16(torch.device("cpu"))
        rng = np.random.default_rng(0)
        self.network.train()
        for _ in range(_EPOCHS):
            order = rng.permutation(len(thumbs))
            for first in range(0, len(thumbs) - _BATCH + 1, _BATCH):
                rows = order[first : first + _BATCH]
                pictures = _augment(pixels_to_tensor(thumbs[rows]), rng)
                target = torch.from_numpy(labels[rows])
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                    logits = self.network(pictures)
                loss = nn.functional.cross_entropy(logits.float(), target, label_smoothing=0.05)
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()

    @torch.inference_mode()
    def predict(self, thumbs: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Classify (N, 128, 128, 3) uint8 thumbnails. Returns labels, (N,)."""
        self.network.eval()
        parts = [thumbs[k : k + _PREDICT_BATCH] for k in range(0, len(thumbs), _PREDICT_BATCH)]
        labels = [self.network(pixels_to_tensor(part)).argmax(1) for part in parts]
        return torch.cat(labels).numpy().astype(np.intp)

    def save(self, path: Path) -> None:
        """Save the weights."""
        torch.save(self.network.state_dict(), path)

    def load(self, path: Path) -> None:
        """Load weights saved by `save`."""
        self.network.load_state_dict(torch.load(path, weights_only=True))


class _Residual(nn.Module):
    """A residual block of two convolutions (He et al. 2016, arXiv 1603.05027)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, momentum=0.3),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, momentum=0.3),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        return nn.functional.relu(hidden + self.branch(hidden))


def _make_network(families: int) -> nn.Sequential:
    """Return a network from (B, 3, 128, 128) in -1..1 to logits, (B, families)."""
    layers: list[nn.Module] = []
    previous = 3
    for channels in _CHANNELS:
        layers += [
            nn.Conv2d(previous, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels, momentum=0.3),
            nn.ReLU(),
        ]
        if channels != _CHANNELS[0]:
            layers.append(_Residual(channels))
        previous = channels
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2)]
    layers.append(nn.Linear(4 * previous, families))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def _augment(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror and blur at random: sharpness must not identify a family."""
    if rng.random() < 0.5:
        pictures = pictures.flip(-1)
    if rng.random() < 0.5:
        pictures = nn.functional.avg_pool2d(pictures, 3, stride=1, padding=1)
    return pictures
