"""A check finds every fault that would keep a pair from training, and names what is only odd."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from covergen.core.errors import Interrupted
from covergen.core.reasons import Reason
from covergen.datasets.check import Examined, Health, examine
from covergen.datasets.folder import Pair, read_dataset
from tests.media import corrupted, encode


def picture(width: int = 300, height: int = 300, color: int = 0, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((width, height), 50 + color).save(stream, kind)
    return stream.getvalue()


def add(folder: Path, stem: str, cover: bytes, *, embedding: torch.Tensor | None = None) -> Path:
    """Add a pair with a sound, or with an embedding instead. Returns the folder."""
    (folder / f"{stem}.png").write_bytes(cover)
    if embedding is None:
        encode(folder / f"{stem}.wav", "wav", seconds=0.2)
    else:
        torch.save(embedding, folder / f"{stem}.pt")
    return folder


def examined(folder: Path) -> list[Examined]:
    pairs = read_dataset(folder).pairs
    return list(examine(pairs, workers=2, checkpoint=lambda: None))


def reasons(folder: Path) -> dict[str, list[Reason]]:
    return {one.pair.stem: [p.reason for p in one.problems] for one in examined(folder)}


def health(folder: Path) -> Health:
    total = Health()
    for one in examined(folder):
        total.add(one)
    return total


def test_a_sound_pair_has_no_problems(tmp_path: Path) -> None:
    (one,) = examined(add(tmp_path, "a", picture()))

    assert one.usable
    assert one.problems == ()


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (256, 256, []),
        (255, 255, [Reason.SMALL_COVER]),
        (500, 460, []),
        (500, 400, [Reason.NOT_SQUARE]),
        (400, 500, [Reason.NOT_SQUARE]),
        (300, 100, [Reason.SMALL_COVER, Reason.NOT_SQUARE]),
    ],
)
def test_small_and_oblong_covers_are_told_and_yet_trained_on(
    tmp_path: Path, width: int, height: int, expected: list[Reason]
) -> None:
    (one,) = examined(add(tmp_path, "a", picture(width, height)))

    assert [problem.reason for problem in one.problems] == expected
    assert one.usable


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cover_that_breaks_off_is_found_though_it_begins_well(tmp_path: Path, kind: str) -> None:
    whole = picture(kind=kind)
    (one,) = examined(add(tmp_path, "a", whole[: len(whole) // 2]))

    assert [problem.reason for problem in one.problems] == [Reason.UNREADABLE]
    assert not one.usable


def test_a_sound_of_which_nothing_is_left_is_found(tmp_path: Path) -> None:
    encode(tmp_path / "a.flac", "flac", seconds=2)
    corrupted(tmp_path / "a.flac", 1, share=1, spared=100)
    (tmp_path / "a.png").write_bytes(picture())
    (one,) = examined(tmp_path)

    assert [problem.reason for problem in one.problems] == [Reason.UNDECODABLE]
    assert not one.usable


def test_a_bad_embedding_is_told_and_made_up_for_by_the_sound(tmp_path: Path) -> None:
    add(tmp_path, "a", picture())
    (tmp_path / "a.pt").write_text("none")
    add(tmp_path, "b", picture(color=1), embedding=torch.zeros(8))

    first, second = examined(tmp_path)

    assert [problem.reason for problem in (*first.problems, *second.problems)] == [
        Reason.BAD_EMBEDDING,
        Reason.BAD_EMBEDDING,
    ]
    assert (first.usable, second.usable) == (True, False)


def test_a_cover_of_several_tracks_is_told_of_once_and_of_two_albums_as_shared(
    tmp_path: Path,
) -> None:
    small = picture(100, 100)
    for stem in ("a1", "a2", "b1", "b2"):
        add(tmp_path, stem, small)
    rows = "".join(f"{stem}.wav,{stem[0]}\n" for stem in ("a1", "a2", "b1", "b2"))
    (tmp_path / "metadata.csv").write_text(f"audio_filename,album_key\n{rows}")

    assert reasons(tmp_path) == {
        "a1": [Reason.SMALL_COVER],
        "a2": [],
        "b1": [Reason.SMALL_COVER, Reason.SHARED_COVER],
        "b2": [],
    }


def test_the_sum_counts_what_can_be_trained_on(tmp_path: Path) -> None:
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


def test_without_a_whole_pair_there_is_an_obstacle(tmp_path: Path) -> None:
    assert "no pair" in health(add(tmp_path, "a", picture()[:200])).obstacle
    assert "no pair" in Health().obstacle


def test_embeddings_of_two_lengths_are_an_obstacle(tmp_path: Path) -> None:
    add(tmp_path, "a", picture(), embedding=torch.ones(8))
    assert health(tmp_path).obstacle == ""
    add(tmp_path, "b", picture(color=1), embedding=torch.ones(1, 6))
    assert "1 of length 6, 1 of length 8" in health(tmp_path).obstacle


def test_it_stops_when_asked_to(tmp_path: Path) -> None:
    add(tmp_path, "a", picture())

    def stop() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        list(examine(read_dataset(tmp_path).pairs, workers=1, checkpoint=stop))


def test_a_file_that_went_meanwhile_is_unreadable(tmp_path: Path) -> None:
    gone = Pair(
        stem="a",
        image=tmp_path / "a.png",
        audio=tmp_path / "a.wav",
        embedding=None,
        album="a",
        title="a",
    )
    (one,) = examine([gone], workers=1, checkpoint=lambda: None)

    assert [problem.reason for problem in one.problems] == [Reason.UNREADABLE] * 2
