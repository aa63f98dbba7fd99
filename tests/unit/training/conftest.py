"""Small bases, and pairs of noise and random vectors that they can be trained on in a blink."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from covergen.training.examples import Example
from tests.plain_diffusion import embeddings
from tests.tiny_base import make_tiny_base
from tests.unit.training.trainer import Trainer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small lose more by sharing their work than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("sd1"), like="sd1")


@pytest.fixture(scope="session")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("sd2"), like="sd2")


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Ten, two of each album; portraits, landscapes and squares."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    made = []
    for number, vector in enumerate(embeddings(10)):
        path = folder / f"{number}.png"
        shape = (64 + 8 * (number % 3), 72, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        album = f"album {number // 2}"
        made.append(Example(stem=f"track {number}", image=path, vector=vector, album=album))
    return made


@pytest.fixture
def trainer(sd1: Path, tmp_path: Path) -> Trainer:
    return Trainer(sd1, tmp_path / "out")


@pytest.fixture(scope="session")
def whole(sd1: Path, examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A training that nothing interrupted."""
    trainer = Trainer(sd1, tmp_path_factory.mktemp("whole") / "out")
    trainer(examples)
    return trainer
