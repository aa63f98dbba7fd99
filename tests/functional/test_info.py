"""`covergen info`: what painted a cover, how to paint it again, and what `tag` would do and why."""

import io
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutagen.mp4 import MP4
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from covergen.core.app_folders import state_folder
from covergen.library.pictures_in_files import read_pictures
from tests.functional.conftest import Run, TinyModel, json_lines, snapshot
from tests.functional.previews import Preview
from tests.media import Library, put_picture

Words = list[str]


def cover_of(path: Path, container: str = "mp3") -> bytes:
    (picture,) = read_pictures(path, container)
    return picture.data


def info_of(run: Run, path: Path) -> dict[str, Any]:
    (value,) = json_lines(run("info", "--json", path))
    return value


def run_again(run: Run, words: Words) -> None:
    assert words[0] == "covergen"
    run(*words[1:])


def test_the_command_paints_an_albums_very_cover_again(painted: Library, run: Run) -> None:
    folder = painted.root / "Two Discs"
    track = folder / "CD2/02 Down.mp3"
    cover = cover_of(track)
    value = info_of(run, track)
    assert (value["own"], value["provisos"]) == (True, [])
    assert value["command"][-1] == str(folder)
    run("strip", folder)

    run_again(run, value["command"])

    assert cover_of(track) == cover


def test_among_other_albums_it_paints_this_one_alone_with_all_its_settings(
    painted: Library, run: Run
) -> None:
    folder = painted.root / "Two Editions"
    tracks = [folder / "01 Alpha (1).flac", folder / "02 Omega (1).flac"]
    cover = cover_of(tracks[0], "flac")
    value = info_of(run, tracks[0])
    assert value["pictures"][0]["mime"] == "image/jpeg"
    assert value["provenance"]["steps"] == 3
    assert value["command"][-2:] == list(map(str, tracks))
    run("strip", folder)

    run_again(run, value["command"])

    assert [cover_of(track, "flac") for track in tracks] == [cover, cover]
    assert read_pictures(folder / "01 Alpha (2).flac", "flac") == []


def test_it_paints_a_single_tracks_very_cover_again(
    painted: Library, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    track = painted.root / "Sampler/01 Ash.mp3"
    value = info_of(run, track)
    assert value["command"][1] == "generate"

    run_again(run, value["command"])

    again, first = Image.open(tmp_path / "cover.png"), Image.open(io.BytesIO(cover_of(track)))
    levels = [np.asarray(picture, int) for picture in (again, first)]
    # What is painted beside it may round a level otherwise.
    assert np.abs(levels[0] - levels[1]).max() <= 1
    assert again.info == first.info


def test_a_picture_tells_the_same_beside_the_music_it_was_painted_for(
    painted: Library, run: Run, tmp_path: Path
) -> None:
    track = painted.root / "Sampler/02 Elm.mp3"
    picture = track.with_name("mine.png")
    picture.write_bytes(cover_of(track))
    value = info_of(run, picture)
    assert value["container"] is None
    assert value["command"] == info_of(run, track)["command"]
    value = info_of(run, picture.rename(tmp_path / "elsewhere.png"))
    assert value["command"] is None
    assert "is not here" in value["provisos"][0]


def test_a_cover_file_is_painted_again_beside_the_tracks(painted: Library, run: Run) -> None:
    picture = painted.root / "Two Discs/cover.png"
    before = snapshot(picture.parent)
    value = info_of(run, picture)
    assert any("first" in proviso for proviso in value["provisos"])
    data = picture.read_bytes()
    picture.unlink()

    run_again(run, value["command"])

    assert picture.read_bytes() == data
    assert set(snapshot(picture.parent)) == set(before)


def test_the_command_repeats_the_precision(library: Library, run: Run) -> None:
    folder = library.root / "Sampler"
    run("tag", "-m", "tiny", "--yes", "--dtype", "bf16", folder)
    track = folder / "01 Ash.mp3"
    before = cover_of(track)
    value = info_of(run, track)
    assert (value["provenance"]["device"], value["provenance"]["dtype"]) == ("cpu", "bf16")

    run_again(run, value["command"])

    assert cover_of(track) == before


def test_the_printed_command_is_what_a_shell_reads(painted: Library, run: Run) -> None:
    odd = painted.root / "Sampler/it's $HOME; `a\nb` \\ \x1b[31m.mp3"
    (painted.root / "Sampler/01 Ash.mp3").rename(odd)
    (command,) = (
        line.strip().removeprefix("again").strip()
        for line in run("info", odd).stdout.splitlines()
        if line.strip().startswith("again")
    )
    assert "\x1b" not in command
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True
    ).stdout.split(b"\0")[:-1]
    assert [word.decode() for word in words] == info_of(run, odd)["command"]


def test_another_adapter_and_a_model_that_is_gone_are_told(
    painted: Library, run: Run, home: Path, tiny_model: TinyModel
) -> None:
    track = painted.root / "Two Discs/CD1/01 Up.mp3"
    (home / "config/covergen/models.toml").write_text("")
    value = info_of(run, track)
    assert any(value["provenance"]["adapter"] in proviso for proviso in value["provisos"])
    words = [str(tiny_model.adapter) if w == "ADAPTER" else w for w in value["command"]]
    before = cover_of(track)

    run_again(run, words)

    first, again = (np.asarray(Image.open(io.BytesIO(d))) for d in (before, cover_of(track)))
    assert np.array_equal(first, again)


def without(data: bytes, *names: str) -> bytes:
    """The same PNG without some fields of its provenance."""
    chunks, stream = PngInfo(), io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        for name, text in image.info.items():
            if name.removeprefix("covergen:") not in names:
                chunks.add_itxt(name, text)
        image.save(stream, "PNG", pnginfo=chunks)
    return stream.getvalue()


def test_cover_without_the_seed_of_its_run_has_no_command(painted: Library, run: Run) -> None:
    track = painted.root / "Two Discs/CD1/01 Up.mp3"
    put_picture(track, "mp3", without(cover_of(track), "per", "run_seed"))
    value = info_of(run, track)
    assert value["provenance"]["model"] == "tiny"
    assert value["command"] is None
    assert "did not record" in value["provisos"][0]


def test_unrecorded_jpeg_quality_is_a_proviso(painted: Library, run: Run) -> None:
    track = painted.root / "Two Editions/01 Alpha (1).flac"
    command = info_of(run, track)["command"]
    assert command[command.index("--jpeg-quality") + 1] == "37"
    picture = track.with_name("mine.jpg")
    data = cover_of(track, "flac").replace(b"covergen:jpeg_quality", b"covergen:jpeg_unknown")
    picture.write_bytes(data)
    value = info_of(run, picture)
    assert "--jpeg-quality" not in value["command"]
    assert "quality is not recorded" in value["provisos"][0]


def test_only_the_first_candidate_of_a_preview_has_a_command(
    library: Library, run: Run, tmp_path: Path
) -> None:
    folder = library.root / "Sampler"
    preview = Preview(tmp_path / "preview")
    run("tag", "-n", "-m", "tiny", "--preview", preview.folder, "--candidates", 2, folder)
    first, second = preview.covers("Wood")
    for cover, has_command in ((first, True), (second, False)):
        picture = folder / "picture.png"
        picture.write_bytes(cover.read_bytes())
        value = info_of(run, picture)
        assert (value["command"] is not None) == has_command
    assert "not the first" in value["provisos"][0]


def test_the_folder_of_a_preview_is_told_to_be_one(
    library: Library, run: Run, tmp_path: Path
) -> None:
    preview = tmp_path / "preview"
    run("preview", "-m", "tiny", "-o", preview, library.root / "Sampler")

    (told,) = json_lines(run("info", "--json", preview))

    assert (told["type"], told["status"], told["path"]) == ("file", "skipped", str(preview))
    assert "it is a preview" in told["message"]


def test_a_picture_in_a_preview_names_its_album_and_how_it_is_applied(
    library: Library, run: Run, tmp_path: Path
) -> None:
    folder = library.root / "Two Discs"
    preview = Preview(tmp_path / "my preview")
    options = ("--candidates", 2, "--batch-size", 1)
    run("preview", "-m", "tiny", "-o", preview.folder, *options, folder)
    first, second = preview.covers("Two Discs")

    value, text = info_of(run, first), run("info", second).stdout

    assert value["preview"] == {
        "folder": str(preview.folder), "artist": "Bo Ek", "title": "Two Discs", "date": "2001",
        "number": 1, "covers": 2,
    }  # fmt: skip
    assert "Bo Ek – Two Discs (2001)\n" in text
    assert "cover 2 of 2\n" in text
    apply = f"covergen apply '{preview.folder}'"
    assert f"{apply}\n" in run("info", first).stdout
    assert f"{apply} --choices FILE\n" in text
    run_again(run, value["command"])
    assert cover_of(folder / "CD1/01 Up.mp3") == first.read_bytes()
    moved = Path(library.root.rename(tmp_path / "elsewhere"))
    assert info_of(run, first)["command"] is None, f"the music is in {moved} now"
    first.write_bytes(second.read_bytes())
    preview.change("Two Discs", key="another")
    assert info_of(run, first)["preview"] is None


def test_other_tags_than_painted_for_leave_no_command(painted: Library, run: Run) -> None:
    other = painted.root / "Loose Singles/Cy - Rain.mp3"
    put_picture(other, "mp3", cover_of(painted.root / "Two Discs/CD1/01 Up.mp3"))
    value = info_of(run, other)
    assert (value["own"], value["command"]) == (True, None)
    assert value["provisos"]


def test_what_others_painted_and_what_has_no_cover(library: Library, run: Run) -> None:
    value = info_of(run, library.half_covered[0])
    assert [p["mime"] for p in value["pictures"]] == ["image/jpeg"]
    assert (value["own"], value["provenance"], value["command"]) == (False, None, None)
    assert info_of(run, library.half_bare[0])["pictures"] == []
    lines = run("info", library.half_covered[0], library.half_bare[0], library.cover_file).stdout
    assert lines.count("image/jpeg, 64 × 64, ") == 2
    assert "not by covergen" in lines
    assert re.search(r"cover +none$", lines, re.M)


def test_damaged_provenance_is_no_crash(library: Library, run: Run) -> None:
    track = library.half_bare[0]
    chunks = PngInfo()
    chunks.add_text("covergen:version", "1")
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG", pnginfo=chunks)
    put_picture(track, "mp4", stream.getvalue())
    value = info_of(run, track)
    assert (value["own"], value["provenance"]) == (True, None)
    assert "is damaged" in run("info", track).stdout
    file = MP4(library.half_bare[1])
    file["covr"] = [b"no image"]
    file.save()
    assert "unreadable" in run("info", library.half_bare[1]).stdout


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(library: Library, run: Run) -> None:
    notes = library.root / "Two Discs/notes.txt"
    track = library.half_bare[0]
    objects = json_lines(run("info", "--json", notes, *library.failures, track, expect=1))
    assert [o["type"] for o in objects] == ["file"] * 4 + ["cover"]
    assert "neither music nor a picture" in objects[0]["message"]


def test_an_albums_plan_is_explained_with_what_would_change_it(library: Library, run: Run) -> None:
    before = snapshot(library.root)

    def explained(name: str) -> dict[str, Any]:
        return info_of(run, library.root / name)

    bare, covered, half = map(explained, ("Two Discs", "Fully Covered", "Half Covered"))
    assert (bare["action"], bare["reason"]) == ("paint", "no-cover")
    assert bare["alternatives"] == []
    assert covered["alternatives"] == [
        {"options": "--force", "action": "paint", "reason": "forced", "targets": 3}
    ]
    assert (half["tracks"], half["tracks_with_art"], half["reason"]) == (4, 2, "partial-art")
    assert [(a["options"], a["action"], a["targets"]) for a in half["alternatives"]] == [
        ("--fill", "fill", 2),
        ("--force", "paint", 4),
    ]
    text = run("info", library.root / "Half Covered", library.cover_file.parent).stdout
    assert "skips it (partial-art: " in text
    assert "with --fill: copies a cover to 2 files" in text
    assert "cover.jpg" in text
    assert snapshot(library.root) == before


def test_an_album_is_explained_under_the_settings_of_tag(
    library: Library, run: Run, home: Path
) -> None:
    (home / "config/covergen/config.toml").write_text("[tag]\nforce = true\n")
    value = info_of(run, library.root / "Fully Covered")
    assert (value["action"], value["reason"]) == ("paint", "forced")


def test_an_album_is_explained_without_the_files_that_are_in_use(
    library: Library, run: Run
) -> None:
    folder = library.root / "Two Discs"
    track = folder / "CD1/01 Up.mp3"
    track.with_name(f"{track.name}.part").touch()
    value = info_of(run, folder)
    assert len(value["targets"]) == 3
    assert [(h["path"], h["reason"]) for h in value["hindered"]] == [(str(track), "in-use")]
    text = run("info", folder).stdout
    assert "paints a cover for 3 files" in text
    assert f"except {track} (in-use: another program is still writing to it)" in text


def test_own_covers_are_counted(painted_home: Library, run: Run) -> None:
    folder = painted_home.root / "Two Discs"
    value = info_of(run, folder)
    assert (value["tracks_with_own_art"], value["own_cover_file"]) == (4, True)
    assert "4 painted by covergen" in run("info", folder).stdout


def test_the_run_is_named_and_a_damaged_journal_is_told(painted_home: Library, run: Run) -> None:
    track = painted_home.root / "Two Discs/CD1/01 Up.mp3"
    found = info_of(run, track)["run"]
    assert (found["id"], found["action"]) == (2, "tag")
    assert "2: tag, 20" in run("info", track).stdout
    for path in state_folder().glob("journal.sqlite*"):
        path.write_bytes(b"no database" * 1000)
    value = info_of(run, track)
    assert value["run"] is None
    assert "damaged" in value["journal_fault"]
    assert value["command"]
