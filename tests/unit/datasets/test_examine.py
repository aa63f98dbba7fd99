"""Checking a dataset: errors exclude a pair from training, warnings do not."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from covergen.core.reasons import Reason
from covergen.datasets.examine import Examined, Health, examine
from covergen.datasets.folder import Pair, read_dataset
from tests.media import corrupted, encode


def picture(width: int = 300, height: int = 300, color: int = 0, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((width, height), 50 + color).save(stream, kind)
    return stream.getvalue()


def add(folder: Path, stem: str, cover: bytes, *, embedding: torch.Tensor | None = None) -> Path:
    """Add a pair with audio, or with an embedding instead. Returns the folder."""
    (folder / f"{stem}.png").write_bytes(cover)
    if embedding is None:
        encode(folder / f"{stem}.wav", "wav", seconds=0.2)
    else:
        torch.save(embedding, folder / f"{stem}.pt")
    return folder


def examined(folder: Path) -> list[Examined]:
    pairs = read_dataset(folder).pairs
    return list(examine(pairs, workers=2, check_interrupted=lambda: None))


def reasons(pair: Examined) -> list[Reason]:
    return [problem.reason for problem in pair.problems]


def health(folder: Path) -> Health:
    total = Health()
    for pair in examined(folder):
        total.add(pair)
    return total


def test_a_caption_beyond_the_text_encoder_is_a_warning(tmp_path: Path) -> None:
    for stem in ("fits", "long"):
        add(tmp_path, stem, picture(), embedding=torch.ones(1, 4))
    (tmp_path / "metadata.csv").write_text(
        f"image_filename,caption\nfits.png,{'word ' * 75}\nlong.png,{'word ' * 76}\n"
    )
    found = {pair.pair.stem: pair for pair in examined(tmp_path)}
    assert (reasons(found["fits"]), reasons(found["long"])) == ([], [Reason.LONG_CAPTION])
    assert found["long"].usable


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (256, 256, []),
        (255, 255, [Reason.SMALL_COVER]),
        (500, 460, []),
        (400, 500, [Reason.NOT_SQUARE]),
        (300, 100, [Reason.SMALL_COVER, Reason.NOT_SQUARE]),
    ],
)
def test_small_and_oblong_covers_are_warnings(
    tmp_path: Path, width: int, height: int, expected: list[Reason]
) -> None:
    (pair,) = examined(add(tmp_path, "a", picture(width, height)))
    assert reasons(pair) == expected
    assert pair.usable


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated_cover_is_an_error(tmp_path: Path, kind: str) -> None:
    whole = picture(kind=kind)
    (pair,) = examined(add(tmp_path, "a", whole[: len(whole) // 2]))
    assert reasons(pair) == [Reason.UNREADABLE]
    assert not pair.usable


def test_undecodable_audio_is_an_error(tmp_path: Path) -> None:
    encode(tmp_path / "a.flac", "flac", seconds=2)
    corrupted(tmp_path / "a.flac", 1, share=1, spared=100)
    (tmp_path / "a.png").write_bytes(picture())
    (pair,) = examined(tmp_path)
    assert reasons(pair) == [Reason.UNDECODABLE]
    assert not pair.usable


def test_bad_embedding_is_an_error_unless_there_is_audio(tmp_path: Path) -> None:
    add(tmp_path, "a", picture())
    (tmp_path / "a.pt").write_text("not a tensor")
    add(tmp_path, "b", picture(color=1), embedding=torch.zeros(8))
    with_audio, without = examined(tmp_path)
    assert reasons(with_audio) == reasons(without) == [Reason.BAD_EMBEDDING]
    assert (with_audio.usable, without.usable) == (True, False)


def test_files_deleted_in_the_meantime_are_unreadable(tmp_path: Path) -> None:
    gone = Pair(
        stem="a", image=tmp_path / "a.png", audio=tmp_path / "a.wav", embedding=None, album="a",
        title="a",
    )  # fmt: skip
    (pair,) = examine([gone], workers=1, check_interrupted=lambda: None)
    assert reasons(pair) == [Reason.UNREADABLE] * 2


def test_cover_problems_are_reported_once_per_album(tmp_path: Path) -> None:
    small = picture(100, 100)
    for stem in ("a1", "a2", "b1", "b2"):
        add(tmp_path, stem, small)
    rows = "".join(f"{stem}.wav,{stem[0]}\n" for stem in ("a1", "a2", "b1", "b2"))
    (tmp_path / "metadata.csv").write_text(f"audio_filename,album_key\n{rows}")
    assert {pair.pair.stem: reasons(pair) for pair in examined(tmp_path)} == {
        "a1": [Reason.SMALL_COVER],
        "a2": [],
        "b1": [Reason.SMALL_COVER, Reason.SHARED_COVER],
        "b2": [],
    }


def test_totals_count_usable_pairs(tmp_path: Path) -> None:
    shared = picture()
    add(tmp_path, "a", shared)
    add(tmp_path, "b", shared)
    add(tmp_path, "c", picture(color=1), embedding=torch.ones(8))
    add(tmp_path, "d", picture(color=2)[:200])
    total = health(tmp_path)
    assert (total.pairs, total.usable, total.with_audio, total.with_embedding) == (4, 3, 2, 1)
    assert (len(total.albums), len(total.pictures)) == (2, 2)
    assert total.problems == {Reason.UNREADABLE: 1}
    assert total.obstacle == ""


def test_no_usable_pair_is_an_obstacle(tmp_path: Path) -> None:
    assert "no complete pair" in health(add(tmp_path, "a", picture()[:200])).obstacle
    assert "no complete pair" in Health().obstacle


def test_embeddings_of_different_length_are_an_obstacle(tmp_path: Path) -> None:
    add(tmp_path, "a", picture(), embedding=torch.ones(8))
    assert health(tmp_path).obstacle == ""
    add(tmp_path, "b", picture(color=1), embedding=torch.ones(1, 6))
    assert "1 of length 6, 1 of length 8" in health(tmp_path).obstacle
