"""Embeddings of a dataset's pairs: read from files, or computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from covergen.audio.clap import AudioEncoder
from covergen.core.errors import TrainingError
from covergen.datasets.folder import Pair
from covergen.jobs.finetune.examples import PairEmbedded, make_examples
from covergen.training.data.examples import Example
from tests.media import encode
from tests.tiny_clap import make_tiny_clap


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clap(tmp_path_factory.mktemp("clap"))


class Maker:
    """`make_examples`, recording its events."""

    def __init__(self, clap: Path) -> None:
        self.audio_encoder = AudioEncoder(clap, device=torch.device("cpu"), dtype=torch.float32)
        self.left_out: dict[str, str] = {}
        self.events: list[PairEmbedded] = []

    def __call__(self, *pairs: Pair, process: tuple[int, int] = (0, 1)) -> list[Example]:
        return make_examples(
            pairs,
            self.audio_encoder,
            windows=1,
            workers=1,
            leave_out=self.left_out.__setitem__,
            emit=self.events.append,
            check_interrupted=lambda: None,
            process=process,
        )


@pytest.fixture
def make(clap: Path) -> Maker:
    return Maker(clap)


def pair(stem: str, *, audio: Path | None = None, embedding: Path | None = None) -> Pair:
    return Pair(
        stem=stem, image=Path("x.png"), audio=audio, embedding=embedding, album="a", title=stem
    )


def saved(path: Path, tensor: object) -> Path:
    torch.save(tensor, path)
    return path


def test_pair_with_an_embedding_is_not_embedded_again(make: Maker, tmp_path: Path) -> None:
    embedding = torch.nn.functional.normalize(torch.randn(1, 512))
    sound = encode(tmp_path / "a.wav", "wav", seconds=1)
    file = saved(tmp_path / "a.pt", embedding)
    alone, both, embedded = make(
        pair("a", embedding=file), pair("b", embedding=file, audio=sound), pair("c", audio=sound)
    )
    for example in (alone, both):
        assert np.allclose(example.vector, embedding[0], atol=1e-6)
    assert [example.stem for example in (alone, both, embedded)] == ["a", "b", "c"]
    assert float(embedded.vector @ embedded.vector) == pytest.approx(1, abs=1e-5)
    assert [(e.done, e.pairs) for e in make.events] == [(1, 1)]
    assert not make.left_out


@pytest.mark.parametrize(("device", "batches"), [("cpu", [8, 2]), ("cuda", [10])])
def test_a_gpu_embeds_more_windows_at_once(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, batches: list[int]
) -> None:
    sounds = [
        encode(tmp_path / f"{seed}.wav", "wav", seconds=0.2, kind="noise", seed=seed)
        for seed in range(10)
    ]
    embed, found = AudioEncoder.embed, []

    def embed_and_note(encoder: AudioEncoder, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        found.append(len(log_mel))
        return embed(encoder, log_mel)

    monkeypatch.setattr(AudioEncoder, "device", device)
    monkeypatch.setattr(AudioEncoder, "embed", embed_and_note)
    make(*(pair(sound.stem, audio=sound) for sound in sounds))
    assert found == batches


def test_broken_embedding_is_computed_again_from_the_audio(make: Maker, tmp_path: Path) -> None:
    sound = encode(tmp_path / "a.wav", "wav", seconds=1)
    (tmp_path / "a.pt").write_bytes(b"broken")
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    examples = make(
        pair("a", embedding=tmp_path / "a.pt", audio=sound),
        pair("b", embedding=tmp_path / "a.pt"),
        pair("c", audio=tmp_path / "b.wav"),
        pair("d", audio=tmp_path / "gone.wav"),
        pair("e", audio=sound),
    )
    assert [example.stem for example in examples] == ["a", "e"]
    assert sorted(make.left_out) == ["b", "c", "d"]
    assert "embedding" in make.left_out["b"]
    assert "audio" in make.left_out["c"]


def test_embedding_of_another_length_raises(make: Maker, tmp_path: Path) -> None:
    other = saved(tmp_path / "a.pt", torch.ones(1, 256))
    with pytest.raises(TrainingError, match=r"a\.pt.*256.*512"):
        make(pair("a", embedding=other))


def test_processes_start_with_their_own_share(clap: Path, tmp_path: Path) -> None:
    pairs = [pair(stem, audio=tmp_path / f"{stem}.flac") for stem in "abcde"]  # none is there
    for process, order in (((0, 2), "acedb"), ((1, 2), "bdeca")):
        make = Maker(clap)
        make(*pairs, process=process)
        assert "".join(make.left_out) == order


def test_examples_keep_the_order_of_the_pairs(make: Maker, tmp_path: Path) -> None:
    sounds = [encode(tmp_path / f"{stem}.wav", "wav", seconds=1) for stem in "ab"]
    pairs = [pair(sound.stem, audio=sound) for sound in sounds]
    assert [example.stem for example in make(*pairs, process=(1, 2))] == ["a", "b"]
