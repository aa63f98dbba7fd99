"""A stand-in for the workers of the Ray engine."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.cover import Cover
from covergen.pipeline.engines.ray_worker import Progress, Row, Started
from tests.values import PROVENANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from covergen.pipeline.engines.ray_worker import Failure, Order, Setup

    Worked = tuple[list[Row] | Failure, list[list[Cover]]]

__all__ = ["InstantWorker"]


class InstantWorker:
    """Returns black covers at once, which say which GPUs and process "painted" them."""

    def __init__(self, setup: Setup) -> None:
        self.gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        self._where = f"{setup.gpu} {self.gpus} {os.getpid()}"

    def start(self) -> Started | Failure:
        return Started(host="", audio_encoder="encoder", events=())

    def progress(self) -> dict[int, Progress]:
        return {}

    def work(self, orders: Sequence[Order], number: int) -> Worked:  # noqa: ARG002 - as Worker
        vector = np.zeros(512, np.float32)
        rows, covers = [], []
        for order in orders:
            album = order.plan.album
            embedded = tuple((k, f"{album.key} {k}", vector) for k in range(len(album.tracks)))
            rows.append(Row(vector=vector, undecoded=(), embedded=embedded))
            provenance = replace(PROVENANCE, device=self._where, album_key=album.key)
            pixels = np.zeros((512, 512, 3), np.uint8)
            covers.append([Cover(pixels=pixels, provenance=provenance)])
        return rows, covers
