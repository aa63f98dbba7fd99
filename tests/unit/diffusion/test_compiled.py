"""Compiled models in long runs on a GPU, emulated on the CPU by a backend that only traces."""

import copy
from collections.abc import Callable, Sequence
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
from covergen.diffusion.painter import Painter, fuse_attention
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
    # The UNet with and without guidance, and the decoder, although styles differ in length.
    assert len(graphs) == 3
    torch.compiler.reset()


def paint_with_errors(painter: Painter, fails: Callable[[str, int], Exception | None]) -> list[str]:
    """Paint 7 pictures in batches of 3; return the models and sizes of the batches that were tried.

    And the reason why compiled models are not used any more, after the batch that failed. `fails`
    returns the error of such a batch, if any.
    """
    tried = []

    def paint(used: Painter, batch: Sequence[PaintRequest]) -> NDArray[np.uint8]:
        models = "plain" if used is painter else "compiled"
        tried.append(f"{models} {len(batch)}")
        if error := fails(models, len(batch)):
            raise error
        return np.array([[[[request.seed] * 3]] for request in batch], np.uint8)

    later = CompileLater(painter=painter, paint=paint, on_failure=tried.append, after=1)
    batches = in_batches(requests(), 3, later, device=painter.device)
    assert [int(picture[0, 0, 0]) for batch in batches for picture in batch] == list(range(7))
    return tried


def test_models_that_cannot_be_compiled_are_used_as_they_are(painter: Painter) -> None:
    def fails(models: str, _size: int) -> Exception | None:
        return RuntimeError("There is no C compiler.") if models == "compiled" else None

    tried = ["plain 3", "compiled 3", "There is no C compiler.", "plain 3", "plain 1"]
    assert paint_with_errors(painter, fails) == tried


def test_why_models_cannot_be_compiled_is_told_once_in_a_line(
    painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot_compile(_graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> object:
        raise ValueError("There is no C compiler.\nSet CC to one.")

    expected = paint_all(painter, requests(), SAMPLING, batch_size=2)
    monkeypatch.setattr(sampler, "pays_off", lambda *_: True)
    monkeypatch.setattr(sampler, "CompileLater", partial(CompileLater, after=2))
    monkeypatch.setattr(compiled, "compile_models", partial(compile_models, backend=cannot_compile))
    torch.compiler.reset()
    told: list[str] = []
    batches = sampler.paint_batches(
        painter,
        requests(),
        SAMPLING,
        batch_size=2,
        check_interrupted=lambda: None,
        on_uncompiled=told.append,
    )
    assert difference([picture for batch in batches for picture in batch], expected) == 0
    assert told == ["There is no C compiler."]
    torch.compiler.reset()


def test_a_batch_that_is_not_full_is_not_worth_compiling(painter: Painter) -> None:
    assert paint_with_errors(painter, lambda *_: None) == ["plain 3", "compiled 3", "plain 1"]


@pytest.mark.parametrize(
    ("models", "tried"),
    [
        ("compiled", ["plain 3", "compiled 3", *["compiled 1"] * 4]),
        ("plain", ["plain 3", "plain 1", *["compiled 1"] * 6]),
    ],
)
def test_smaller_batches_after_running_out_of_memory_are_compiled_anew(
    models: str, tried: list[str], painter: Painter
) -> None:
    def fails(used: str, size: int) -> Exception | None:
        return (
            torch.OutOfMemoryError("CUDA out of memory.") if (used, size) == (models, 3) else None
        )

    assert paint_with_errors(painter, fails) == tried


def test_only_a_gpu_and_full_passes_are_compiled(painter: Painter) -> None:
    on_gpu = replace(painter, device=torch.device("cuda"))
    assert pays_off(on_gpu, SAMPLING)
    assert not pays_off(on_gpu, replace(SAMPLING, reuse=2))
    assert not pays_off(painter, SAMPLING)


def test_fused_projections_of_attention_paint_the_same_pictures(painter: Painter) -> None:
    fused = replace(painter, unet=copy.deepcopy(painter.unet))
    fuse_attention(fused.unet)
    pictures = (paint_all(one, requests(), SAMPLING, batch_size=2) for one in (painter, fused))
    assert difference(*pictures) <= 1
