"""Training pairs of noise pictures and random vectors, and a finished training on them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from covergen.training.data.examples import Example
from tests.plain_diffusion import embeddings
from tests.unit.training.trainer import Trainer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small models run faster on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Ten pairs, two per album, with portrait, landscape and square pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    examples = []
    for number, vector in enumerate(embeddings(10)):
        path = folder / f"{number}.png"
        shape = (64 + 8 * (number % 3), 72, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        album = f"album {number // 2}"
        examples.append(Example(stem=f"track {number}", image=path, vector=vector, album=album))
    return examples


@pytest.fixture
def trainer(sd1: Path, tmp_path: Path) -> Trainer:
    return Trainer(sd1, tmp_path / "out")


@pytest.fixture(scope="session")
def whole(sd1: Path, examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A finished training that was not interrupted."""
    trainer = Trainer(sd1, tmp_path_factory.mktemp("whole") / "out")
    trainer(examples)
    return trainer


@pytest.fixture
def copied(whole: Trainer, tmp_path: Path) -> Trainer:
    """A copy of the finished training, without its events."""
    return whole.copy(tmp_path / "out")
