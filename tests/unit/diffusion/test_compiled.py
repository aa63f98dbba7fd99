"""Compiled models in long runs on a GPU, emulated on the CPU by a backend that only traces."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from covergen.core.cover import PaintRequest, Sampling
from covergen.diffusion import compiled, sampler
from covergen.diffusion.batches import in_batches
from covergen.diffusion.compiled import CompileLater, compile_models, pays_off
from covergen.diffusion.painter import Painter
from tests.painting import load, paint_all
from tests.plain_diffusion import difference, embeddings
from tests.tiny_base import make_tiny_adapter

SAMPLING = Sampling(steps=4, guidance=3.0, scheduler="dpm++", guided_until=0.5)
STYLES = ("ab", "a longer style", "")


@pytest.fixture(scope="module")
def painter(sd2: Path, tmp_path_factory: pytest.TempPathFactory) -> Painter:
    folder = tmp_path_factory.mktemp("compiled")
    adapter = make_tiny_adapter(folder / "adapter.safetensors", sd2, tokens=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("covergen.diffusion.painter.pack", lambda _: None)  # only done on a CPU
        return load(sd2, adapter, styles=STYLES[:2])


def requests() -> list[PaintRequest]:
    return [
        PaintRequest(vector=vector, seed=i, style=STYLES[i % 3])
        for i, vector in enumerate(embeddings(7))
    ]


def test_compiled_models_paint_the_same_pictures(
    painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = paint_all(painter, requests(), SAMPLING, batch_size=2)
    graphs = []

    def trace(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(sampler, "pays_off", lambda *_: True)
    monkeypatch.setattr(sampler, "CompileLater", partial(CompileLater, after=2))
    monkeypatch.setattr(compiled, "compile_models", partial(compile_models, backend=trace))
    torch.compiler.reset()
    assert difference(paint_all(painter, requests(), SAMPLING, batch_size=2), expected) <= 1
    # The UNet with and without guidance, and the decoder, although the last batch has one picture
    # and styles differ in length.
    assert len(graphs) == 3
    torch.compiler.reset()


def paint_with_error(painter: Painter, error: Exception, works_with: int) -> list[tuple[str, int]]:
    """Paint 7 pictures in batches of 3; compiled models fail with batches of another size.

    Returns the models and sizes of the batches that were tried.
    """
    tried = []

    def paint(used: Painter, batch: Sequence[PaintRequest]) -> NDArray[np.uint8]:
        tried.append(("plain" if used is painter else "compiled", len(batch)))
        if used is not painter and len(batch) != works_with:
            raise error
        return np.array([[[[request.seed] * 3]] for request in batch], np.uint8)

    later = CompileLater(painter=painter, paint=paint, after=1)
    batches = in_batches(requests(), 3, later, device=painter.device)
    assert [int(picture[0, 0, 0]) for batch in batches for picture in batch] == list(range(7))
    return tried


def test_models_that_cannot_be_compiled_are_used_as_they_are(painter: Painter) -> None:
    tried = paint_with_error(painter, RuntimeError("There is no C compiler."), works_with=0)
    assert tried == [("plain", 3), ("compiled", 3), ("plain", 3), ("plain", 1)]


def test_compiled_models_that_run_out_of_memory_get_smaller_batches(painter: Painter) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory.")
    tried = paint_with_error(painter, error, works_with=1)
    assert tried == [("plain", 3), ("compiled", 3), *[("compiled", 1)] * 4]


def test_only_a_gpu_and_full_passes_are_compiled(painter: Painter) -> None:
    on_gpu = replace(painter, device=torch.device("cuda"))
    assert pays_off(on_gpu, SAMPLING)
    assert not pays_off(on_gpu, replace(SAMPLING, reuse=2))
    assert not pays_off(painter, SAMPLING)


def test_fused_projections_of_attention_paint_the_same_pictures(painter: Painter) -> None:
    fused = replace(painter, unet=copy.deepcopy(painter.unet))
    fused.unet.fuse_qkv_projections()
    pictures = (paint_all(one, requests(), SAMPLING, batch_size=2) for one in (painter, fused))
    assert difference(*pictures) <= 1
