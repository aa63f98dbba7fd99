"""metadata.csv: rows are appended completely or not at all, and existing files are kept."""

import csv
import resource
from pathlib import Path

import pytest

from covergen.core.errors import WriteError
from covergen.core.reasons import Reason
from covergen.datasets.metadata import MetadataFile, Row, read_metadata

# The header that art-from-audio's collector writes.
REFERENCE = (
    "jamendo_track_id,track_name,artist_name,album_name,audio_filename,image_filename,"
    "jamendo_license_cc,original_audio_duration_s,actual_snippet_duration_s,"
    "image_original_width_px,image_original_height_px,image_saved_width_px,image_saved_height_px"
)


def row(number: int, *, track_name: str = "", album_key: str = "", source: str = "") -> Row:
    return Row(
        audio_filename=f"{number}.mp3",
        image_filename=f"{number}.jpg",
        track_name=track_name,
        album_key=album_key,
        source=source,
    )


def append(folder: Path, *rows: Row) -> None:
    with MetadataFile(folder) as metadata:
        for one in rows:
            metadata.append(one)


def audio_names(folder: Path) -> list[str]:
    return [one["audio_filename"] for one in read_metadata(folder)]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Ärger, 東京 🎧", "Ärger, 東京 🎧"),
        ('say "no"', 'say "no"'),
        (" - ", " - "),
        ("not UTF-8 \udcff", "not UTF-8 \udcff"),
        ("One\r\nTwo\nThree", "One Two Three"),
    ],
)
def test_text_round_trips_on_one_line(tmp_path: Path, text: str, read: str) -> None:
    append(tmp_path, row(1, track_name=text), row(2))
    assert [one["track_name"] for one in read_metadata(tmp_path)] == [read, ""]
    assert (tmp_path / "metadata.csv").read_bytes().count(b"\n") == 3


def test_columns_of_art_from_audio_come_first(tmp_path: Path) -> None:
    append(tmp_path, row(7, album_key="k"))
    with (tmp_path / "metadata.csv").open(newline="") as file:
        (read,) = csv.DictReader(file)
    assert list(read)[:13] == REFERENCE.split(",")
    assert (read["audio_filename"], read["album_key"]) == ("7.mp3", "k")


def test_file_of_art_from_audio_can_be_extended(tmp_path: Path) -> None:
    header = REFERENCE.replace("jamendo_license_cc", "jamendo_license_cc,mood")
    old = "9,Rain,Ada,Sky,9.mp3,9.jpg,by-sa,dark,180.0,30.0,600,600,300,300"
    (tmp_path / "metadata.csv").write_text(f"{header}\n{old}")  # no final newline
    append(tmp_path, row(10, album_key="k"))
    first, second = read_metadata(tmp_path)
    assert (first["track_name"], first["mood"], first["album_key"]) == ("Rain", "dark", "")  # type: ignore[typeddict-item]  # its own column
    assert (second["audio_filename"], second["album_key"]) == ("10.mp3", "k")


def test_truncated_row_is_dropped_and_more_can_follow(tmp_path: Path) -> None:
    append(tmp_path, row(1), row(2, track_name='"quoted", and a comma', source="a/b"))
    whole = (tmp_path / "metadata.csv").read_bytes()
    second = whole.index(b"\n", whole.index(b"1.mp3")) + 1
    for size in range(second, len(whole)):
        (tmp_path / "metadata.csv").write_bytes(whole[:size])
        names = audio_names(tmp_path)
        assert names in (["1.mp3"], ["1.mp3", "2.mp3"])
        append(tmp_path, row(3))
        assert audio_names(tmp_path) == [*names, "3.mp3"]
    assert names == ["1.mp3", "2.mp3"], "only the final newline was missing"


def test_full_disk_leaves_no_partial_row(tmp_path: Path) -> None:
    append(tmp_path, row(1))
    file = tmp_path / "metadata.csv"
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetadataFile(tmp_path) as metadata:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
        try:
            with pytest.raises(WriteError) as caught:
                metadata.append(row(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.reason is Reason.NO_SPACE
        assert file.read_bytes() == before
        metadata.append(row(3))
    assert audio_names(tmp_path) == ["1.mp3", "3.mp3"]


@pytest.mark.parametrize(
    "text", ["name,color\nrose,red\n", "audio_filename\n" + "x" * 200_000, "{}"]
)
def test_other_files_are_neither_read_nor_changed(tmp_path: Path, text: str) -> None:
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(ValueError, match=r"column|line"):
        list(read_metadata(tmp_path))
    with pytest.raises(ValueError, match=r"column|line"):
        MetadataFile(tmp_path)
    assert (tmp_path / "metadata.csv").read_text() == text
