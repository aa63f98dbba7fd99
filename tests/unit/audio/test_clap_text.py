"""CLAP's text encoder, against transformers' own ClapModel, and against incomplete folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ClapModel, RobertaTokenizer

from covergen.audio.clap_text import embed_texts
from covergen.core.errors import ModelError, ModelMissingError

CPU = torch.device("cpu")
TEXTS = ["calm", "This music sounds furious.", "a piano"]


@pytest.fixture
def copy(clap: Path, tmp_path: Path) -> Path:
    """A CLAP folder to modify."""
    return Path(shutil.copytree(clap, tmp_path / "copy"))


def test_embeddings_equal_those_of_the_full_model(clap: Path) -> None:
    tokenizer = RobertaTokenizer.from_pretrained(clap)
    model = ClapModel.from_pretrained(clap).eval()
    with torch.inference_mode():
        expected = [
            model.get_text_features(**tokenizer([text], return_tensors="pt")).pooler_output[0]
            for text in TEXTS
        ]
    found = embed_texts(clap, TEXTS, device=CPU)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, torch.stack(expected).numpy(), atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.01, "the sentences differ"


def test_long_sentences_are_cut_off_and_many_are_embedded_in_order(clap: Path) -> None:
    texts = [*("ab" * (number % 5) + "c" for number in range(70)), "x" * 2000]
    found = embed_texts(clap, texts, device=CPU)
    assert found.shape == (71, 48)
    np.testing.assert_allclose(found[64:66], embed_texts(clap, texts[64:66], device=CPU), atol=1e-5)


def without_text_encoder(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["text_config"]
    (folder / "config.json").write_text(json.dumps(config))


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_text_encoder, "has no text encoder"),
        (without_tokenizer, "lacks the tokenizer of its text encoder"),
    ],
)
def test_missing_part_is_named(copy: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(copy)
    with pytest.raises(ModelMissingError, match=words):
        embed_texts(copy, TEXTS, device=CPU)


def test_damaged_part_is_named(copy: Path) -> None:
    path = copy / "model.safetensors"
    kept = {k: v for k, v in load_file(path).items() if not k.startswith("text_projection")}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"text encoder .* text_projection.linear1.bias is missing"
    ):
        embed_texts(copy, TEXTS, device=CPU)
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="expected the tokenizer of a CLAP model"):
        embed_texts(copy, TEXTS, device=CPU)
