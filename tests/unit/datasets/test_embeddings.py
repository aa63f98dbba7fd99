"""Embedding files: those of the reference and our own, and nothing that only looks like one."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason
from covergen.datasets.embeddings import read_embedding


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1, 1, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_a_tensor_is_read_and_brought_to_unit_length(
    tmp_path: Path, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    torch.save(torch.tensor([3.0, 0.0, -4.0, 0.0], dtype=dtype).reshape(shape), tmp_path / "a.pt")

    vector = read_embedding(tmp_path / "a.pt")

    np.testing.assert_allclose(vector, [0.6, 0, -0.8, 0], atol=1e-7)
    assert vector.shape == (4,)
    assert vector.dtype == np.float32


def test_so_is_safetensors(tmp_path: Path) -> None:
    save_file({"embedding": torch.tensor([[0.0, 1.0]])}, tmp_path / "a.safetensors")

    np.testing.assert_array_equal(read_embedding(tmp_path / "a.safetensors"), [0, 1])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.nn.Parameter(torch.tensor([0.0, 2.0])),
        torch.tensor([0.0, 1.0], dtype=torch.bfloat16),
        torch.tensor([0.0, 1e200], dtype=torch.float64),
    ],
    ids=["parameter", "bfloat16", "large"],
)
def test_whatever_holds_its_numbers(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save(tensor, tmp_path / "a.pt")

    np.testing.assert_array_equal(read_embedding(tmp_path / "a.pt"), [0, 1])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(1).expand(10**11),  # a few bytes that claim to be 800 GB
        torch.ones(4, device="meta"),
        torch.ones(4, dtype=torch.complex64),
        torch.ones(4, dtype=torch.bool),
        torch.ones(10**6),
    ],
    ids=["repeated", "meta", "complex", "truths", "long"],
)
def test_a_tensor_that_is_no_row_of_numbers(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save(tensor, tmp_path / "a.pt")

    with pytest.raises(DecodeError) as caught:
        read_embedding(tmp_path / "a.pt")
    assert caught.value.reason is Reason.BAD_EMBEDDING


def _save(path: Path, content: object) -> None:
    match content:
        case bytes():
            path.write_bytes(content)
        case _:
            torch.save(content, path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no tensor",
        pickle.dumps(print),
        {"embedding": torch.ones(4)},
        torch.ones(2, 4),
        torch.zeros(4),
        torch.tensor([1.0, float("nan")]),
        torch.ones(0),
    ],
    ids=lambda content: f"{content!r:.20}",
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_is_no_single_embedding_is_a_decode_error(
    tmp_path: Path, content: object, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    _save(path, content)

    with pytest.raises(DecodeError) as caught:
        read_embedding(path)
    assert (caught.value.path, caught.value.reason) == (path, Reason.BAD_EMBEDDING)
    assert "\n" not in caught.value.message


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]  # what pickle takes

    torch.save(Trap(), tmp_path / "a.pt")
    with pytest.raises(DecodeError):
        read_embedding(tmp_path / "a.pt")
    assert not (tmp_path / "sprung").exists()


def test_what_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as caught:
        read_embedding(tmp_path / "a.pt")
    assert caught.value.reason is Reason.UNREADABLE
