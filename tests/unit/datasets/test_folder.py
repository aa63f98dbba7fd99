"""Finding the pairs of a folder, and the problems of its other files."""

from pathlib import Path

import pytest

from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.datasets.folder import Dataset, check_place, read_dataset
from tests.media import encode, picture_bytes


def add_audio(path: Path, container: str = "wav") -> Path:
    return encode(path, container, seconds=0.1)


def add_picture(path: Path, kind: str = "jpeg", color: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_bytes(kind, 300, (50 * color, 60, 90)))
    return path


def add_embedding(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()  # its content is not read yet
    return path


def stems(dataset: Dataset) -> list[str]:
    return [pair.stem for pair in dataset.pairs]


def problems(dataset: Dataset) -> list[tuple[str, Reason]]:
    """Each problem with the relative path of its file."""
    folder = dataset.folder
    return [(str(p.path.relative_to(folder)), p.reason) for p in dataset.problems]


def test_layout_of_art_from_audio(tmp_path: Path) -> None:
    audio = add_audio(tmp_path / "audio_snippets/a.ogg", "vorbis")
    cover = add_picture(tmp_path / "cover_images/a.png", "png", 1)
    embedding = add_embedding(tmp_path / "audio_embeddings/a.pt")
    add_audio(tmp_path / "audio_snippets/b.mp3", "mp3")
    add_picture(tmp_path / "cover_images/b.jpg", "jpeg", 2)
    add_picture(tmp_path / "cover_images/c.webp", "webp", 3)
    add_embedding(tmp_path / "audio_embeddings/c.safetensors")
    dataset = read_dataset(tmp_path)
    assert stems(dataset) == ["a", "b", "c"]
    first, second, third = dataset.pairs
    assert (first.audio, first.image, first.embedding) == (audio, cover, embedding)
    assert second.embedding is None
    assert third.audio is None
    assert dataset.problems == ()


def test_flat_folder_with_other_files(tmp_path: Path) -> None:
    add_audio(tmp_path / "01. Intro.flac", "flac")
    add_picture(tmp_path / "01. Intro.gif", "gif")
    for name in (
        ".b.jpg", "c.part", ".covergen-0.tmp", "covergen-sheet.png", "covergen-sheet-2.png",
    ):  # fmt: skip
        add_picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("thanks")
    (tmp_path / "booklet.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "d.mp3").symlink_to("nowhere")
    (tmp_path / "e.jpg").mkdir()
    dataset = read_dataset(tmp_path)
    assert stems(dataset) == ["01. Intro"]
    assert dataset.problems == ()


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    add_audio(tmp_path / "a.mp3", "opus")
    add_picture(tmp_path / "a.png", "jpeg")
    (tmp_path / "b.mp3").write_text("not music")
    (tmp_path / "b.jpg").write_text("not a picture")
    dataset = read_dataset(tmp_path)
    assert stems(dataset) == ["a"]
    assert dataset.broken == {"b"}
    assert problems(dataset) == [("b.jpg", Reason.NOT_A_PICTURE), ("b.mp3", Reason.NOT_AUDIO)]


def test_unpaired_and_duplicate_files_are_reported(tmp_path: Path) -> None:
    add_audio(tmp_path / "audio_snippets/a.flac", "flac")
    add_audio(tmp_path / "audio_snippets/a.wav")
    add_picture(tmp_path / "cover_images/a.jpg")
    add_audio(tmp_path / "audio_snippets/alone.wav")
    add_picture(tmp_path / "cover_images/lonely.jpg")
    add_embedding(tmp_path / "audio_embeddings/single.pt")
    dataset = read_dataset(tmp_path)
    assert [pair.audio for pair in dataset.pairs] == [tmp_path / "audio_snippets/a.flac"]
    assert problems(dataset) == [
        ("audio_snippets/a.wav", Reason.SAME_STEM),
        ("audio_snippets/alone.wav", Reason.NO_PARTNER),
        ("cover_images/lonely.jpg", Reason.NO_PARTNER),
        ("audio_embeddings/single.pt", Reason.NO_PARTNER),
    ]


def test_album_is_the_key_or_else_the_picture(tmp_path: Path) -> None:
    for stem, color in {"a": 1, "b": 2, "c": 3, "d": 3, "e": 4, "f": 1}.items():
        add_audio(tmp_path / f"{stem}.wav")
        add_picture(tmp_path / f"{stem}.jpg", color=color)
    (tmp_path / "metadata.csv").write_text(
        "audio_filename,album_key,artist_name,track_name\na.wav,K,Ada,Rain\nb.wav,K,,\ne.wav,,,\n"
    )
    dataset = read_dataset(tmp_path)
    albums = {pair.stem: pair.album for pair in dataset.pairs}
    assert albums["a"] == albums["b"] == "K", "the same key, with different pictures"
    assert albums["f"] == "K", "no key, but the picture of a pair that has one"
    assert albums["c"] == albums["d"], "no keys, but the same picture"
    assert len(set(albums.values())) == len(dataset.albums) == 3
    assert [pair.title for pair in dataset.pairs][:2] == ["Ada – Rain", "b"]


def test_captions_come_from_the_metadata(tmp_path: Path) -> None:
    for stem in ("a", "b", "c"):
        add_audio(tmp_path / f"{stem}.wav")
        add_picture(tmp_path / f"{stem}.jpg")
    (tmp_path / "metadata.csv").write_text(
        "audio_filename,image_filename,caption\na.mp3,,  two red circles \n,b.jpg,\n"
    )
    assert [pair.caption for pair in read_dataset(tmp_path).pairs] == ["two red circles", "", ""]


def test_names_in_the_metadata_are_not_opened(tmp_path: Path) -> None:
    add_audio(tmp_path / "secret/a.wav")
    add_picture(tmp_path / "secret/a.jpg")
    folder = tmp_path / "dataset"
    add_audio(folder / "b.wav")
    add_picture(folder / "b.jpg")
    outside = tmp_path / "secret/a"
    (folder / "metadata.csv").write_text(
        "audio_filename,image_filename,album_key\n"
        f"{outside}.wav,{outside}.jpg,X\n../secret/a.wav,../secret/a.jpg,Y\n../b.wav,\0.jpg,Z\n"
    )
    (pair,) = read_dataset(folder).pairs
    assert (pair.audio, pair.image) == (folder / "b.wav", folder / "b.jpg")


def test_invalid_metadata_is_reported_and_the_pairs_are_kept(tmp_path: Path) -> None:
    add_audio(tmp_path / "a.wav")
    add_picture(tmp_path / "a.jpg")
    (tmp_path / "metadata.csv").write_text("color\nred\n")
    dataset = read_dataset(tmp_path)
    assert stems(dataset) == ["a"]
    assert problems(dataset) == [("metadata.csv", Reason.UNREADABLE)]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_path_that_is_not_a_folder_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=name):
        read_dataset(tmp_path / name)


def test_pairs_can_be_added_to_a_new_empty_or_dataset_folder_only(tmp_path: Path) -> None:
    check_place(tmp_path / "new")
    check_place(tmp_path)
    (tmp_path / ".DS_Store").touch()
    check_place(tmp_path)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError, match="not a dataset"):
        check_place(tmp_path)
    with pytest.raises(UsageError, match="Not a directory"):
        check_place(tmp_path / "thesis.txt")
    (tmp_path / "metadata.csv").write_text("audio_filename\n")
    check_place(tmp_path)
    (tmp_path / "metadata.csv").write_text("color\n")
    with pytest.raises(UsageError, match="not a table of pairs"):
        check_place(tmp_path)
