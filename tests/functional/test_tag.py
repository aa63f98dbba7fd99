"""`covergen tag` over a library of every container, painted by a small model."""

import io
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from covergen.cli.output.lines import reason_text
from covergen.core.reasons import Reason
from covergen.diffusion import compiled, sampler
from covergen.diffusion.compiled import CompileLater
from covergen.diffusion.painter import Painter
from covergen.library.pictures_in_files import read_pictures
from tests.functional.conftest import Run, TinyModel, json_lines, provenance, snapshot
from tests.media import Library, decoded_hash, encode, picture_bytes, put_picture

TAG = ("tag", "--model", "tiny", "--json")


def front_cover(path: Path, container: str) -> bytes:
    covers = [picture for picture in read_pictures(path, container) if picture.kind == 3]
    assert len(covers) == 1
    return covers[0].data


def test_every_album_without_a_cover_gets_one_and_nothing_else_changes(
    library: Library, run: Run
) -> None:
    before = snapshot(library.root)
    sounds = {path: decoded_hash(path) for path in library.every_container.values()}

    albums = [o for o in json_lines(run(*TAG, library.root, expect=1)) if o["type"] == "album"]

    written = {
        Path(file["path"])
        for album in albums
        for file in album["files"]
        if file["status"] == "written"
    }
    bare = {
        path
        for folder, expected in library.albums.items()
        if expected.reason is Reason.NO_COVER
        for path in before
        if path.is_relative_to(folder)
    }
    assert written == bare - {*library.failures, *library.ignored, library.read_only}
    for path, (content, _) in before.items():
        if path not in written:
            assert path.read_bytes() == content
    assert set(snapshot(library.root)) == set(before), "no file appeared and none is gone"
    for container, path in library.every_container.items():
        assert decoded_hash(path) == sounds[path], container
        with Image.open(io.BytesIO(front_cover(path, container))) as image:
            assert image.format == "PNG"
            assert image.size[0] == image.size[1]
        assert provenance(front_cover(path, container))["model"] == "tiny"
    assert len({front_cover(p, c) for c, p in library.every_container.items()}) == 1
    seeds = {album["provenance"]["seed"] for album in albums if album["provenance"]}
    assert len(seeds) == sum(1 for album in albums if album["action"] == "paint")

    after = snapshot(library.root)
    again = json_lines(run(*TAG, library.root, expect=1))
    assert snapshot(library.root) == after
    assert not [o for o in again if o.get("action") == "paint"], "a second run has nothing to do"


def test_a_folder_is_looked_into_once_where_nobody_watches(
    library: Library, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once to clear it of what a killed run left; no plan is counted beforehand."""
    folder = library.root / "Fully Covered"
    looked: Counter[Path] = Counter()
    scandir = os.scandir

    def counted(path: Path) -> Iterator[os.DirEntry[str]]:
        looked[Path(path)] += 1
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    run("tag", folder)
    assert looked[folder] == 2


def test_fill_spreads_the_albums_own_picture(library: Library, run: Run) -> None:
    own = front_cover(library.half_covered[0], "mp4")
    run(*TAG, "--fill", library.half_bare[0].parent)
    for path in library.half_bare:
        assert front_cover(path, "mp4") == own


def test_force_replaces_the_front_cover_alone(library: Library, run: Run) -> None:
    folder = library.root / "Fully Covered"
    track = folder / "01 One.flac"
    back = picture_bytes("png", 48, (9, 9, 9))
    put_picture(track, "flac", back, kind=4)
    old = front_cover(track, "flac")
    run(*TAG, "--force", folder)
    pictures = read_pictures(track, "flac")
    assert [p.data for p in pictures if p.kind == 4] == [back]
    assert front_cover(track, "flac") != old


def test_the_cover_depends_on_the_album_and_the_seed_alone(
    library: Library, run: Run, tmp_path: Path
) -> None:
    def pixels(root: Path, *options: object) -> NDArray[np.int16]:
        run(*TAG, *options, root / "Two Discs", root / "Sampler")
        cover = front_cover(root / "Two Discs/CD1/01 Up.mp3", "mp3")
        return np.asarray(Image.open(io.BytesIO(cover)), dtype=np.int16)

    elsewhere = [library.copy_to(tmp_path / f"elsewhere/{n}").root for n in range(3)]
    first = pixels(library.root)
    assert np.abs(pixels(elsewhere[0], "--batch-size", 1) - first).max() <= 1
    assert np.array_equal(pixels(elsewhere[1], "--batch-size", 2), first)
    assert np.abs(pixels(elsewhere[2], "--seed", 1) - first).max() > 1


def test_sidecar_and_no_embed(library: Library, run: Run) -> None:
    folder = library.root / "Two Discs"
    before = snapshot(folder)
    run(*TAG, "--no-embed", "--sidecar", "--format", "jpeg", "--size", 100, folder)
    with Image.open(folder / "cover.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (100, 100))
    (folder / "cover.jpg").unlink()
    assert snapshot(folder) == before


def test_a_read_only_file_is_told_and_left(library: Library, run: Run) -> None:
    content = library.read_only.read_bytes()
    (album, summary) = json_lines(run(*TAG, library.read_only.parent, expect=1))
    by_path = {Path(f["path"]): f for f in album["files"]}
    assert by_path[library.read_only]["reason"] == "read-only"
    assert library.read_only.read_bytes() == content
    assert stat.S_IMODE(library.read_only.stat().st_mode) == 0o444
    assert {"status": "failed", "reason": "read-only", "count": 1} in summary["files"]


def test_a_dry_run_foresees_a_cover_file_that_cannot_be_written(library: Library, run: Run) -> None:
    folder = library.root / "Two Discs"
    beside = (*TAG, "--no-embed", "--sidecar", folder)
    folder.chmod(0o555)
    *_, told, planned = json_lines(run(*beside, "--dry-run", expect=1))
    (album, done) = json_lines(run(*beside, expect=1))
    folder.chmod(0o755)

    assert (told["type"], told["path"]) == ("file", str(folder / "cover.png"))
    assert told.items() >= album["files"][0].items()
    assert planned["files"] == done["files"]


def test_text_output_has_a_line_an_album_and_totals(library: Library, run: Run) -> None:
    result = run("tag", "-m", "tiny", "-n", library.root / "Two Discs", library.cover_file.parent)
    cost = "1 cover, 4 files to write; time: known after the first run; added disk space: at most"
    assert result.stdout.splitlines() == [
        "paint     no-cover          4 tracks  Bo Ek – Two Discs (2001)",
        "skip      has-art           2 tracks  Mo – Beside: cover.jpg",
        "",
        "paint            1 album        4 files  no cover yet",
        "skip             1 album        2 files  already has a cover",
        f"{cost} {4 * 512 * 512 * 3 / 1e6:.3g} MB",
    ]
    assert "without --dry-run" in result.stderr


def test_dry_run_without_music_says_so_unless_quiet(run: Run, tmp_path: Path) -> None:
    assert "No music found" in run("tag", "-m", "tiny", "-n", tmp_path).stderr
    assert not run("tag", "-m", "tiny", "-n", "-q", tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tag", "nowhere"], "nowhere"),
        (["tag", "-m", "stater", "."], "Did you mean 'starter'?"),
        (["tag", "-m", "tiny", "--no-embed", "."], "--sidecar"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(arguments: list[str], told: str, run: Run) -> None:
    assert told in run(*arguments, expect=2).stderr


def test_without_an_adapter_and_a_text_encoder_the_error_says_what_to_pass(
    library: Library, tiny_model: TinyModel, run: Run
) -> None:
    parts = ("--base", tiny_model.base, "--clap", "package:starter/weights/clap")
    error = run("tag", "-m", "sd15", *parts, library.root, expect=1).stderr
    assert "has no text encoder" in error
    assert "--adapter" in error
    assert "Traceback" not in error


def test_an_album_that_a_run_left_half_done_is_finished_with_the_same_cover(
    library: Library, run: Run
) -> None:
    folder = library.read_only.parent
    run(*TAG, folder, expect=1)
    cover = front_cover(folder / "01 Open.mp3", "mp3")
    (blocked, *_) = json_lines(run(*TAG, folder))
    assert (blocked["action"], blocked["reason"]) == ("skip", "read-only")
    library.read_only.chmod(0o644)
    (album, *_) = json_lines(run(*TAG, folder))
    assert (album["result"], album["reason"]) == ("filled", "resumed")
    assert front_cover(library.read_only, "mp3") == cover


def test_a_download_that_goes_on_is_left_alone_and_tagged_when_it_is_complete(
    library: Library, run: Run
) -> None:
    folder = library.root / "Sampler"
    before = snapshot(folder)
    marks = [path.with_name(f"{path.name}.part") for path in before]
    for mark in marks:
        mark.touch()
    for options in (("--dry-run",), ()):
        (album, *_) = json_lines(run(*TAG, *options, folder))
        assert (album["action"], album["reason"]) == ("skip", "in-use")
    for mark in marks:
        mark.unlink()
    (album, *_) = json_lines(run(*TAG, "--min-age", 3600, folder))
    assert (album["action"], album["reason"]) == ("skip", "too-new")
    assert snapshot(folder) == before
    (album, *_) = json_lines(run(*TAG, folder))
    assert album["result"] == "painted"


def test_preserve_mtime_keeps_the_times_and_the_next_run_still_knows(
    library: Library, run: Run
) -> None:
    folder = library.root / "Sampler"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run(*TAG, "--preserve-mtime", folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    (album, *_) = json_lines(run(*TAG, folder))
    assert album["reason"] == "has-art"


def test_what_a_killed_run_left_is_cleared_away(library: Library, run: Run) -> None:
    stale = library.root / "Sampler/.covergen-0123abcd.tmp"
    stale.write_bytes(b"half a copy")
    run("tag", "-m", "tiny", "-n", stale.parent)
    assert stale.exists(), "a dry run touches nothing"
    run(*TAG, stale.parent)
    assert not stale.exists()


def test_the_next_plan_estimates_from_what_the_last_run_measured(
    library: Library, run: Run
) -> None:
    plan = ("tag", "-m", "tiny", "-n", library.root / "Two Discs")
    assert "known after the first run" in run(*plan).stdout
    run(*TAG, library.root / "Sampler")
    assert re.search(r"time: about \d+ s; added disk space: about \d", run(*plan).stdout)


def test_models_that_fail_once_compiled_are_told_and_used_as_they_are(
    library: Library, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(painter: Painter) -> Painter:
        return replace(painter, unet=Mock(side_effect=RuntimeError("no C compiler.\nSet CC.")))

    monkeypatch.setattr(sampler, "pays_off", lambda *_: True)
    monkeypatch.setattr(sampler, "CompileLater", partial(CompileLater, after=1))
    monkeypatch.setattr(compiled, "compile_models", failing)
    result = run(*TAG, "--batch-size", 1, library.root / "Loose Singles")
    assert [o.get("result") for o in json_lines(result)][:3] == ["painted"] * 3
    note = "Note: The compiled models failed on cpu (no C compiler); painting continues uncompiled"
    assert result.stderr.count(note) == result.stderr.count("Note:") == 1


@pytest.mark.parametrize("container", ["flac", "opus"])
def test_the_estimate_of_disk_space_is_what_the_files_grow_by(
    library: Library, run: Run, tmp_path: Path, container: str
) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    song = library.every_container[container]
    for number in range(3):
        shutil.copy(song, folder / f"{number}{song.suffix}")
    before = sum(path.stat().st_size for path in folder.iterdir())
    run(*TAG, "--size", 512, library.root / "Sampler")

    plan = run("tag", "-m", "tiny", "--size", 512, "-n", folder).stdout
    run(*TAG, "--size", 512, folder)

    found = re.search(r"added disk space: about ([\d.]+) ([kM])B", plan)
    assert found
    estimate = float(found[1]) * {"k": 1e3, "M": 1e6}[found[2]]
    grown = sum(path.stat().st_size for path in folder.iterdir()) - before
    assert estimate == pytest.approx(grown, rel=0.1)


def test_the_documentation_lists_every_reason() -> None:
    page = (Path(__file__).parents[2] / ".docs/reasons.md").read_text()
    for reason in Reason:
        assert f"| `{reason}` | {reason_text(reason)} |" in page


# What counts as a cover, and what is skipped.


def test_a_broken_picture_is_replaced_unasked(library: Library, run: Run) -> None:
    folder = library.root / "Cover Beside"
    library.cover_file.write_text("<!DOCTYPE html><html>404 Not Found</html>")
    broken = library.root / "Sampler"
    put_picture(broken / "01 Ash.mp3", "mp3", b"no picture")

    planned = run("tag", "-m", "tiny", "-n", folder, broken).stdout
    assert "broken-cover      2 tracks  Mo – Beside: cover.jpg\n" in planned
    assert "their covers are empty or not images" in planned
    run(*TAG, folder, broken)

    assert front_cover(folder / "01 Left.opus", "opus")
    assert front_cover(broken / "01 Ash.mp3", "mp3") == front_cover(broken / "02 Elm.mp3", "mp3")
    assert library.cover_file.read_text().startswith("<!DOCTYPE"), "a file beside is left alone"


def test_the_names_of_covers_can_be_set(library: Library, run: Run, home: Path) -> None:
    folder = library.root / "Two Discs"
    (folder / "Booklet").mkdir()
    (folder / "Booklet/Two Discs 01.JPG").write_bytes(picture_bytes("jpeg"))
    plan = ("tag", "-m", "tiny", "-n", folder)
    assert "no-cover" in run(*plan).stdout
    config = home / "config/covergen/config.toml"
    config.write_text('[tag]\ncover-names = ["booklet/<album> 01.*"]\n')

    assert run(*plan).stdout.splitlines()[0].endswith(": Booklet/Two Discs 01.JPG")
    assert "no-cover" in run(*plan, "--cover-names", "cover.*").stdout
    for glob, problem in (
        ("a/b/c", "neither NAME nor FOLDER/NAME"),
        ("**bad", "contains **"),
        ("bad[", "[ without ]"),
    ):
        assert problem in run(*plan, "--cover-names", glob, expect=2).stderr
    run(*plan, "--cover-names", "[[]x[]] [!a-z]?.*")


def test_what_is_ignored_is_counted_and_named_if_asked(library: Library, run: Run) -> None:
    podcasts = library.root / "Podcasts"
    (library.root / ".ndignore").write_text("Podcasts/\n/[C-Z]*\n")
    plan = ("tag", "-m", "tiny", "-n", library.root)
    ignored = [path for path in library.root.iterdir() if re.match("[C-Z]", path.name)]

    told = run(*plan).stdout
    assert str(podcasts) not in told
    assert f"{len(ignored)} paths  excluded by an ignore file" in told
    named = f"{podcasts}: excluded by {library.root / '.ndignore'}"
    assert named in run(*plan, "--verbose").stdout


def test_music_that_cannot_hold_a_cover_is_counted_and_gets_one_beside_it(
    tmp_path: Path, run: Run
) -> None:
    kinds = {"adts": "01 A.aac", "ac3": "02 B.ac3", "caf": "03 C.caf", "w64": "04 D.w64"}
    for kind, name in kinds.items():
        encode(tmp_path / "Album" / name, kind, seconds=0.5)
    before = snapshot(tmp_path / "Album")

    counted = run("tag", "--model", "tiny", "--dry-run", tmp_path / "Album").stdout
    run("tag", "--model", "tiny", tmp_path / "Album")
    assert snapshot(tmp_path / "Album") == before
    *_, done, _ = json_lines(run(*TAG, "--sidecar", tmp_path / "Album"))
    *_, again, _ = json_lines(run(*TAG, "--sidecar", tmp_path / "Album"))

    assert ".aac (1), .ac3 (1), .caf (1), .w64 (1)" in counted
    assert "01 A.aac" not in counted
    cover = tmp_path / "Album/cover.png"
    assert done["result"] == "painted"
    assert [(file["path"], file["status"]) for file in done["files"]] == [(str(cover), "written")]
    assert snapshot(tmp_path / "Album").keys() == before.keys() | {cover}
    assert (again["action"], again["reason"]) == ("skip", "has-art")
