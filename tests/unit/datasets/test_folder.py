"""What belongs together in a folder, and what is in the way."""

from pathlib import Path

import pytest
import torch

from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.datasets.folder import Dataset, check_place, read_dataset
from tests.media import encode, picture_bytes


def add_sound(path: Path, container: str = "mp3") -> Path:
    return encode(path, container, seconds=0.2)


def add_picture(path: Path, kind: str = "jpeg", color: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_bytes(kind, 300, (50 * color, 60, 90)))
    return path


def add_embedding(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(torch.ones(1, 8), path)
    return path


def told(dataset: Dataset) -> list[tuple[str, Reason]]:
    """Each problem by the path of its file below the folder."""
    folder = dataset.folder
    return [(str(p.path.relative_to(folder)), p.reason) for p in dataset.problems]


def test_the_references_layout_is_read(tmp_path: Path) -> None:
    sound = add_sound(tmp_path / "audio_snippets/a.ogg", "vorbis")
    cover = add_picture(tmp_path / "cover_images/a.png", "png", 1)
    vector = add_embedding(tmp_path / "audio_embeddings/a.pt")
    add_sound(tmp_path / "audio_snippets/b.mp3")
    add_picture(tmp_path / "cover_images/b.jpg", "jpeg", 2)
    add_picture(tmp_path / "cover_images/c.webp", "webp", 3)
    add_embedding(tmp_path / "audio_embeddings/c.safetensors")

    dataset = read_dataset(tmp_path)

    assert [pair.stem for pair in dataset.pairs] == ["a", "b", "c"]
    first, second, third = dataset.pairs
    assert (first.audio, first.image, first.embedding) == (sound, cover, vector)
    assert second.embedding is None
    assert third.audio is None
    assert dataset.problems == ()


def test_so_is_a_flat_folder(tmp_path: Path) -> None:
    add_sound(tmp_path / "01. Intro.flac", "flac")
    add_picture(tmp_path / "01. Intro.gif", "gif")
    (tmp_path / "notes.txt").write_text("thanks")
    (tmp_path / "booklet.pdf").write_bytes(b"%PDF-1.7")

    dataset = read_dataset(tmp_path)

    assert [pair.stem for pair in dataset.pairs] == ["01. Intro"]
    assert dataset.problems == ()


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp3", "opus", seconds=0.2)
    add_picture(tmp_path / "a.png", "jpeg")
    (tmp_path / "b.mp3").write_text("no music")
    (tmp_path / "b.jpg").write_text("no picture")

    dataset = read_dataset(tmp_path)

    assert [pair.stem for pair in dataset.pairs] == ["a"]
    assert told(dataset) == [("b.jpg", Reason.NOT_A_PICTURE), ("b.mp3", Reason.NOT_AUDIO)]


def test_what_has_no_partner_or_a_rival_is_told(tmp_path: Path) -> None:
    add_sound(tmp_path / "audio_snippets/a.flac", "flac")
    add_sound(tmp_path / "audio_snippets/a.mp3")
    add_picture(tmp_path / "cover_images/a.jpg")
    add_sound(tmp_path / "audio_snippets/alone.mp3")
    add_picture(tmp_path / "cover_images/lonely.jpg")
    add_embedding(tmp_path / "audio_embeddings/single.pt")

    dataset = read_dataset(tmp_path)

    assert [pair.audio for pair in dataset.pairs] == [tmp_path / "audio_snippets/a.flac"]
    assert told(dataset) == [
        ("audio_snippets/a.mp3", Reason.SAME_STEM),
        ("audio_snippets/alone.mp3", Reason.NO_PARTNER),
        ("cover_images/lonely.jpg", Reason.NO_PARTNER),
        ("audio_embeddings/single.pt", Reason.NO_PARTNER),
    ]


def test_what_is_unfinished_hidden_or_a_sheet_is_no_part_of_it(tmp_path: Path) -> None:
    add_sound(tmp_path / "a.mp3")
    add_picture(tmp_path / "a.jpg")
    for name in (
        ".b.jpg",
        "c.part",
        ".covergen-0.tmp",
        "covergen-sheet.png",
        "covergen-sheet-2.png",
    ):
        add_picture(tmp_path / name)
    (tmp_path / "d.mp3").symlink_to("nowhere")
    (tmp_path / "e.jpg").mkdir()

    dataset = read_dataset(tmp_path)

    assert [pair.stem for pair in dataset.pairs] == ["a"]
    assert dataset.problems == ()


def test_pairs_share_an_album_by_its_key_or_else_by_their_picture(tmp_path: Path) -> None:
    for stem, color in {"a": 1, "b": 2, "c": 3, "d": 3, "e": 4, "f": 1}.items():
        add_sound(tmp_path / f"{stem}.mp3")
        add_picture(tmp_path / f"{stem}.jpg", color=color)
    (tmp_path / "metadata.csv").write_text(
        "audio_filename,album_key,artist_name,track_name\na.mp3,K,Ada,Rain\nb.mp3,K,,\ne.mp3,,,\n"
    )

    dataset = read_dataset(tmp_path)

    albums = {pair.stem: pair.album for pair in dataset.pairs}
    assert albums["a"] == albums["b"] == "K", "by their key, though their pictures differ"
    assert albums["f"] == "K", "it has no key, but the picture of one that has"
    assert albums["c"] == albums["d"], "without a key, by the picture"
    assert len(set(albums.values())) == len(dataset.albums) == 3
    assert [pair.title for pair in dataset.pairs][:2] == ["Ada – Rain", "b"]


def test_names_in_the_metadata_lead_nowhere(tmp_path: Path) -> None:
    add_sound(tmp_path / "secret/a.mp3")
    add_picture(tmp_path / "secret/a.jpg")
    dataset_folder = tmp_path / "dataset"
    add_sound(dataset_folder / "b.mp3")
    add_picture(dataset_folder / "b.jpg")
    outside = tmp_path / "secret/a"
    (dataset_folder / "metadata.csv").write_text(
        "audio_filename,image_filename,album_key\n"
        f"{outside}.mp3,{outside}.jpg,X\n../secret/a.mp3,../secret/a.jpg,Y\n../b.mp3,\0.jpg,Z\n"
    )

    (pair,) = read_dataset(dataset_folder).pairs

    assert (pair.audio, pair.image) == (dataset_folder / "b.mp3", dataset_folder / "b.jpg")


def test_metadata_that_is_none_is_told_and_the_pairs_are_there_all_the_same(tmp_path: Path) -> None:
    add_sound(tmp_path / "a.mp3")
    add_picture(tmp_path / "a.jpg")
    (tmp_path / "metadata.csv").write_text("colour\nred\n")

    dataset = read_dataset(tmp_path)

    assert [pair.stem for pair in dataset.pairs] == ["a"]
    assert told(dataset) == [("metadata.csv", Reason.UNREADABLE)]


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_what_is_no_folder_is_wrong_use(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match=name):
        read_dataset(tmp_path / name)


def test_pairs_may_go_to_a_new_an_empty_or_a_datasets_folder_alone(tmp_path: Path) -> None:
    check_place(tmp_path / "new")
    check_place(tmp_path)
    (tmp_path / ".DS_Store").touch()
    check_place(tmp_path)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError, match="no dataset"):
        check_place(tmp_path)
    with pytest.raises(UsageError, match="Not a directory"):
        check_place(tmp_path / "thesis.txt")
    (tmp_path / "metadata.csv").write_text("audio_filename\n")
    check_place(tmp_path)
    (tmp_path / "metadata.csv").write_text("colour\n")
    with pytest.raises(UsageError, match="no table of pairs"):
        check_place(tmp_path)
