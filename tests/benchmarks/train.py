"""Benchmark training steps with cached latents; the reference encodes pictures every step."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from covergen.core.errors import Interrupted
from covergen.training.data.examples import Example
from covergen.training.events import StepDone
from covergen.training.loop import steps_ahead
from covergen.training.recipe import RECIPES, Precision, Recipe
from covergen.training.train_adapter import train as train_adapter
from covergen.training.training_run import AdapterNames
from tests.benchmarks.models import base_and_adapter
from tests.benchmarks.race import Missing, Race, Row, Setting
from tests.plain_diffusion import embeddings
from tests.reference_training import ReferenceTraining

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from covergen.training.events import Event

__all__ = ["train"]

_ENDLESS = 100_000


def train(setting: Setting) -> Generator[Row]:
    """Measure steps with equal batches at 512 pixels; on a CPU in fp32 and bf16."""
    name = f"train, steps, {setting.device}"
    if setting.device == "cuda" and not torch.cuda.is_available():
        yield Missing(name=name, reason="no CUDA device here")
        return
    small = setting.size == "starter" or setting.device == "cuda"
    batch, steps = (8, 4) if small else (1, 1)
    base, _ = base_and_adapter(setting)
    examples = _make_examples(setting.folder / "pictures", 2 * batch)
    recipe = replace(
        RECIPES["default"],
        batch_size=batch,
        max_steps=_ENDLESS,
        checkpoint_every=_ENDLESS,
        validation=0.0,
        validate_every=None,
        sample_every=None,
    )
    device = torch.device(setting.device)
    reference = ReferenceTraining(base, steps=_ENDLESS, size=512, device=device)
    precisions: tuple[Precision, ...] = ("fp32", "bf16") if setting.device == "cpu" else ("auto",)
    for precision in precisions:
        output = setting.folder / f"trained in {precision}"
        chosen = replace(recipe, precision=precision)
        with _stepper(base, examples, chosen, output, device) as make_steps:
            yield Race(
                name=f"{name}: batch of {batch} at 512 pixels, {precision}",
                covergen=partial(make_steps, steps),
                reference=partial(_reference_steps, reference, examples, batch, steps),
                unit="steps",
                units=steps,
                at_least=1.6,
                rounds=5 if small else 2,
            )


@contextmanager
def _stepper(
    base: Path, examples: Sequence[Example], recipe: Recipe, output: Path, device: torch.device
) -> Iterator[Callable[[int], None]]:
    """Run covergen's training in a thread; yield a function that runs a number of steps."""
    requested: SimpleQueue[bool] = SimpleQueue()
    done: SimpleQueue[Event | BaseException] = SimpleQueue()
    encoding = len(examples)  # calls before the first step

    def check_interrupted() -> None:
        nonlocal encoding
        encoding -= 1
        if encoding < 0 and not requested.get():
            raise Interrupted

    def emit(event: Event) -> None:
        if isinstance(event, StepDone):
            done.put(event)

    def run() -> None:
        try:
            train_adapter(
                base,
                examples,
                recipe,
                output,
                names=AdapterNames(title="Benchmark", base="", clap=""),
                device=device,
                emit=emit,
                check_interrupted=check_interrupted,
            )
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            done.put(error)

    for _ in range(steps_ahead(device)):  # queued before the first result is read
        requested.put(True)

    def make_steps(count: int) -> None:
        for _ in range(count):
            requested.put(True)
        for _ in range(count):
            if isinstance(event := done.get(), BaseException):
                raise event

    thread = Thread(target=run)
    thread.start()
    try:
        yield make_steps
    finally:
        requested.put(False)
        thread.join()


def _reference_steps(
    reference: ReferenceTraining, examples: Sequence[Example], batch: int, steps: int
) -> None:
    """Train on random batches."""
    for _ in range(steps):
        chosen = [examples[i] for i in np.random.default_rng().integers(len(examples), size=batch)]
        noise = torch.randn(batch, 2, *reference.latent_shape)
        reference.backward(chosen, noise, torch.randint(1000, (batch,)))
        reference.update()


def _make_examples(folder: Path, count: int) -> list[Example]:
    """Save smooth 600-pixel JPEGs, like Jamendo's covers in size."""
    folder.mkdir()
    random = np.random.default_rng(0)
    examples = []
    for number, vector in enumerate(embeddings(count)):
        levels = random.integers(256, size=(12, 12, 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(levels).resize((600, 600), Image.Resampling.BICUBIC).save(path)
        examples.append(Example(stem=path.stem, image=path, vector=vector, album=path.stem))
    return examples
