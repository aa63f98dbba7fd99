"""Embedding files of art-from-audio and covergen are read; anything else is rejected."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason
from covergen.datasets.embeddings import read_embedding


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([3.0, 0.0, -4.0]),
        torch.tensor([[3.0, 0.0, -4.0]], dtype=torch.float16),
        torch.tensor([[[3.0, 0.0, -4.0]]], dtype=torch.float64),
        torch.tensor([0.75, 0.0, -1.0], dtype=torch.bfloat16),
        torch.tensor([3e200, 0.0, -4e200], dtype=torch.float64),
        torch.nn.Parameter(torch.tensor([3.0, 0.0, -4.0])),
    ],
    ids=["float32", "float16", "float64", "bfloat16", "large", "parameter"],
)
def test_tensor_is_normalized(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save(tensor, tmp_path / "a.pt")
    vector = read_embedding(tmp_path / "a.pt")
    np.testing.assert_allclose(vector, [0.6, 0, -0.8], atol=1e-7)
    assert (vector.shape, vector.dtype) == ((3,), np.float32)


def test_safetensors_is_read(tmp_path: Path) -> None:
    save_file({"embedding": torch.tensor([[0.0, 1.0]])}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read_embedding(tmp_path / "a.safetensors"), [0, 1])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a tensor",
        pickle.dumps(print),
        {"embedding": torch.ones(4)},
        torch.ones(2, 4),
        torch.zeros(4),
        torch.tensor([1.0, float("nan")]),
        torch.ones(0),
        torch.ones(1).expand(10**11),  # a few bytes that claim to be 800 GB
        torch.ones(4, device="meta"),
        torch.ones(4, dtype=torch.complex64),
        torch.ones(4, dtype=torch.bool),
        torch.ones(10**6),
    ],
    ids=[
        "empty", "text", "pickle", "dict", "matrix", "zero", "nan", "no numbers", "expanded",
        "meta", "complex", "bool", "long",
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_anything_but_one_embedding_is_rejected(
    tmp_path: Path, content: object, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(DecodeError) as caught:
        read_embedding(path)
    assert (caught.value.path, caught.value.reason) == (path, Reason.BAD_EMBEDDING)
    assert "\n" not in caught.value.message


def test_code_in_a_file_is_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]  # what pickle takes

    torch.save(Trap(), tmp_path / "a.pt")
    with pytest.raises(DecodeError):
        read_embedding(tmp_path / "a.pt")
    assert not (tmp_path / "sprung").exists()
