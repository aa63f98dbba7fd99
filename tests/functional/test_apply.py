"""`covergen apply`: what was previewed and chosen goes into the files, and nothing else happens."""

import io
import json
import os
import shutil
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from covergen.cli.main import cli
from covergen.core.cover_encoding import is_own
from covergen.jobs import apply as apply_job
from tests.functional.conftest import Run, TinyModel, json_lines, snapshot
from tests.functional.previews import Preview
from tests.home import run_at_home
from tests.media import Library, decoded_hash, encode, picture_bytes, put_picture
from tests.media.oracle import front_cover, texts

_PAINTED = ("Ada Lind", "Two Discs", "Compilation", "Sampler")
_OTHERS = ("Half Covered", "Fully Covered")


@pytest.fixture(scope="session")
def shared_preview(
    shared_library: Library, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> Preview:
    """A preview of some albums with two candidates each, made elsewhere: only files are left."""
    folder = tmp_path_factory.mktemp("shared preview")
    options = ["-m", "sd15", "--base", tiny_model.base, "--clap", tiny_model.clap]
    options += ["--adapter", tiny_model.adapter, "--steps", 2, "--candidates", 2, "--no-audio"]
    excluded = {path.name for path in shared_library.root.iterdir()} - {*_PAINTED, *_OTHERS}
    options += [word for name in sorted(excluded) for word in ("--exclude", name)]
    command = ("preview", "--fill", "-o", folder / "preview", *options)
    run_at_home(folder / "home", *command, shared_library.root)
    return Preview(folder / "preview")


@pytest.fixture
def preview(shared_preview: Preview, tmp_path: Path) -> Preview:
    return Preview(Path(shutil.copytree(shared_preview.folder, tmp_path / "preview")))


@pytest.fixture
def apply(run: Run, preview: Preview, library: Library) -> Run:
    """Apply the preview to a copy of the library that it was made of."""
    return lambda *options, **expect: run(
        "apply", preview.folder, "--library", library.root, *options, **expect
    )


def reasons(result: object) -> dict[str, str]:
    """Why each file that was not written was left alone, by its name."""
    files = [f for o in json_lines(result) for f in o.get("files", ()) if "path" in f]  # type: ignore[arg-type]
    return {Path(f["path"]).name: f["reason"] for f in files if f["status"] != "written"}


def test_the_previewed_covers_go_into_files_of_every_container(
    library: Library, preview: Preview, apply: Run
) -> None:
    before = snapshot(library.root)
    every = library.every_container
    sounds = {path: decoded_hash(path) for path in every.values()}
    tags = {path: texts(path) for path in every.values()}

    result = apply()

    chosen, _ = preview.covers("Every Container")
    for container, path in every.items():
        assert front_cover(path) == chosen.read_bytes(), container
        assert decoded_hash(path) == sounds[path], container
        assert texts(path) == tags[path], container
    after = snapshot(library.root)
    changed = {path for path in before if after[path] != before[path]}
    painted = {p for p in before if p.relative_to(library.root).parts[0] in _PAINTED}
    assert changed == {p for p in painted if p not in library.ignored} | {*library.half_bare}
    assert set(after) == set(before)
    for path in library.half_bare:
        assert front_cover(path) == front_cover(library.half_covered[0])
    assert "written" in result.stdout
    assert "Loading" not in result.stderr


def test_only_what_was_chosen_is_written(
    library: Library, preview: Preview, apply: Run, tmp_path: Path
) -> None:
    before = snapshot(library.root)
    _, second = preview.album("Two Discs")["candidates"]
    choices = preview.choose(
        tmp_path / "mine.json",
        Two_Discs={"choice": 2, "seed": str(second["seed"])},
        Wood={"choice": 2, "seed": "1"},  # of a cover that was painted again since
        Every_Container={"reject": True},
        Grain={"retry": True},
        Half={"reject": True},
    )
    objects = json_lines(apply("--choices", choices, "--json"))
    told = {o["title"]: (o["result"], o["reason"]) for o in objects if o["type"] == "album"}
    assert told.pop("Two Discs") == ("written", "no-cover")
    assert told == {
        "Wood": ("skipped", "repainted"),
        "Every Container": ("skipped", "rejected"),
        "Grain": ("skipped", "retry"),
        "Half": ("skipped", "rejected"),
        "Full": ("skipped", "has-art"),
    }
    cover = preview.covers("Two Discs")[1].read_bytes()
    assert front_cover(library.root / "Two Discs/CD2/02 Down.mp3") == cover
    changed = {path for path, kept in snapshot(library.root).items() if before[path] != kept}
    assert {path.relative_to(library.root).parts[0] for path in changed} == {"Two Discs"}


def test_covers_encoded_before_a_fault_are_written_and_the_thread_ends(
    library: Library, apply: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(library.root)
    calls = count(1)

    def failing(*arguments: Any) -> object:
        if next(calls) == 3:
            raise ZeroDivisionError
        return encoded(*arguments)

    encoded = apply_job.encoded
    monkeypatch.setattr(apply_job, "encoded", failing)
    with pytest.raises(ZeroDivisionError):
        apply()
    after = snapshot(library.root)
    changed = {p.relative_to(library.root).parts[0] for p in before if after[p] != before[p]}
    assert len(changed & {*_PAINTED}) == 2
    assert "encode" not in {thread.name for thread in threading.enumerate()}


def test_a_dry_run_prints_the_plan_and_touches_nothing(library: Library, apply: Run) -> None:
    before = snapshot(library.root)
    result = apply("--dry-run")
    assert snapshot(library.root) == before
    assert "write     no-cover          4 tracks  Bo Ek – Two Discs (2001)" in result.stdout
    assert "skip      has-art           3 tracks  Lu – Full" in result.stdout
    assert "without --dry-run" in result.stderr


def test_a_dry_run_foresees_what_is_not_writable(library: Library, apply: Run) -> None:
    for path in (*library.half_bare, library.every_container["mp3"]):
        path.chmod(0o444)

    totals = apply("--dry-run", expect=1).stdout
    *_, summary = json_lines(apply("--json", expect=1))

    assert "failed                          3 files  the files or their folders" in totals
    assert "fill             1 album        2 files  " in totals
    assert {"status": "failed", "reason": "read-only", "count": 3} in summary["files"]


def test_a_dry_run_foresees_cover_files_that_are_not_writable(library: Library, apply: Run) -> None:
    folder = library.root / "Sampler"
    folder.chmod(0o555)
    planned = json_lines(apply("--dry-run", "--json", "--no-embed", "--sidecar", expect=1))
    objects = json_lines(apply("--json", "--no-embed", "--sidecar", expect=1))
    folder.chmod(0o755)

    (told,) = (o for o in planned if o["type"] == "file")
    (album,) = (o for o in objects if o.get("title") == "Wood")
    assert told["path"] == str(folder / "cover.png")
    assert told.items() >= album["files"][0].items()


def test_a_file_that_is_no_longer_what_was_previewed_is_left_alone(
    library: Library, apply: Run, tmp_path: Path
) -> None:
    every = library.every_container
    os.utime(every["mp3"], ns=(1, 1))
    put_picture(every["flac"], "flac", picture_bytes())
    every["opus"].unlink()
    every["wav"].write_bytes(every["wav"].read_bytes() + b"\0\0")
    every["tta"].unlink()
    every["tta"].mkdir()
    every["aiff"].unlink()
    os.mkfifo(every["aiff"])
    before = {path: path.read_bytes() for path in every.values() if path.is_file()}

    result = apply("--json", expect=1)

    assert "preview it again, or paint it with covergen tag" in result.stdout
    assert {name.split()[-1].split(".")[0]: reason for name, reason in reasons(result).items()} == {
        "mp3": "changed", "flac": "has-art", "opus": "changed", "wav": "changed",
        "tta": "changed", "aiff": "changed",
    }  # fmt: skip
    written = {path for path in before if path.read_bytes() != before[path]}
    assert written == {*before} - {every[name] for name in ("mp3", "flac", "wav")}


@pytest.mark.parametrize("keep_size", [False, True])
def test_a_cover_that_came_meanwhile_is_seen_whatever_size_and_time_say(
    library: Library, preview: Preview, apply: Run, keep_size: bool
) -> None:
    track = library.every_container["flac"]
    before = track.stat()
    put_picture(track, "flac", picture_bytes())
    os.utime(track, ns=(before.st_atime_ns, before.st_mtime_ns))
    if keep_size:
        tracks = preview.album("Every Container")["tracks"]
        for planned in tracks:
            if planned["path"].endswith(track.name):
                planned["size"] = track.stat().st_size
        preview.change("Every Container", tracks=tracks)
    content = track.read_bytes()
    assert reasons(apply("--json"))[track.name] == "has-art"
    assert track.read_bytes() == content


def test_an_album_that_got_a_cover_file_meanwhile_is_left_alone(
    library: Library, apply: Run
) -> None:
    (library.root / "Two Discs/folder.jpg").write_bytes(picture_bytes("jpeg"))
    objects = json_lines(apply("--json"))
    (told,) = (o for o in objects if o.get("title") == "Two Discs")
    assert (told["result"], told["reason"]) == ("skipped", "has-art")
    assert front_cover(library.root / "Two Discs/CD1/01 Up.mp3") is None


def test_a_stray_or_broken_cover_file_meanwhile_is_none_of_an_albums(
    library: Library, preview: Preview, apply: Run
) -> None:
    preview.change("Wood", shares_folder=True)
    (library.root / "Two Discs/folder.jpg").write_text("<html>")
    (library.root / "Sampler/folder.jpg").write_bytes(picture_bytes("jpeg"))
    apply()
    assert front_cover(library.root / "Two Discs/CD1/01 Up.mp3")
    assert front_cover(library.root / "Sampler/01 Ash.mp3")


def test_a_run_that_was_killed_before_its_last_file_is_finished(
    library: Library, preview: Preview, apply: Run, run: Run
) -> None:
    """What it left behind goes, and the cover file comes; nothing else is written."""
    before = snapshot(library.root)
    apply()
    folder = library.root / "Sampler"
    (folder / ".covergen-0123abcd.tmp").write_bytes(b"half a copy")
    covered = snapshot(folder)

    assert "4 files  new cover written" in apply("--sidecar").stdout

    cover = folder / "cover.png"
    assert cover.read_bytes() == preview.covers("Wood")[0].read_bytes()
    after = snapshot(folder)
    assert after.keys() == {cover, *(path for path in covered if path.suffix != ".tmp")}
    assert {path: after[path] for path in after if path != cover} == {
        path: covered[path] for path in covered if path.suffix != ".tmp"
    }
    apply("--sidecar")
    assert snapshot(folder) == after
    for _ in range(2):
        run("undo")
    assert snapshot(library.root) == before


def test_where_the_library_lies_covergen_knows_or_is_told(
    library: Library, preview: Preview, run: Run, tmp_path: Path
) -> None:
    folder = library.root / "Sampler"
    made = Preview(tmp_path / "made")
    run("preview", "-m", "tiny", "--no-audio", "-o", made.folder, folder)
    assert "--library" in run("apply", preview.folder, expect=2).stderr, "never from the plan"

    moved = folder.rename(tmp_path / "moved")
    error = run("apply", made.folder, expect=2).stderr
    assert str(folder) in error
    assert "--library" in error
    run("apply", made.folder, "--library", moved)
    assert front_cover(moved / "01 Ash.mp3") == made.covers("Wood")[0].read_bytes()

    moved.rename(folder)
    assert "has-art" in run("apply", made.folder).stdout
    twice = run("apply", made.folder, "--library", folder, "--library", folder, expect=2)
    assert "given 2 times" in twice.stderr

    other = run("apply", preview.folder, "--library", tmp_path / "made", expect=2)
    assert "None of the files" in other.stderr
    assert other.stdout == ""


def test_covers_are_written_as_asked(library: Library, preview: Preview, apply: Run) -> None:
    folder = library.root / "Two Discs"
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp3")}
    apply("--format", "jpeg", "--size", 40, "--sidecar", "--preserve-mtime")
    for data in (front_cover(folder / "CD1/01 Up.mp3"), (folder / "cover.jpg").read_bytes()):
        with Image.open(io.BytesIO(data or b"")) as image:
            assert (image.format, image.size) == ("JPEG", (40, 40))
        assert is_own(data or b"")
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_missing_cover_file_of_an_earlier_run_is_written(
    library: Library, run: Run, tmp_path: Path
) -> None:
    folder = library.root / "Sampler"
    run("tag", "-m", "tiny", "--yes", folder)
    tagged = snapshot(folder)
    run("tag", "-m", "tiny", "-n", "--sidecar", "--preview", tmp_path / "out", folder)

    (album, _) = json_lines(run("apply", tmp_path / "out", "--sidecar", "--json"))

    assert (album["result"], album["reason"]) == ("filled", "resumed")
    cover = folder / "cover.png"
    assert cover.read_bytes() == front_cover(folder / "01 Ash.mp3")
    assert snapshot(folder) == tagged | {cover: snapshot(folder)[cover]}


# What anybody may have written into the preview.


@pytest.fixture
def victim(library: Library, tmp_path: Path) -> Path:
    """A music file outside of the library that is the double of one in it."""
    track = library.root / "Sampler/01 Ash.mp3"
    return Path(shutil.copy2(track, tmp_path / "victim.mp3"))


@pytest.mark.parametrize("name", ["../../victim.mp3", "{victim}", "a\0b", 5])
def test_no_name_in_the_plan_leads_out_of_the_library(
    library: Library, preview: Preview, apply: Run, victim: Path, name: object
) -> None:
    before = snapshot(library.root.parent)
    tracks = preview.album("Wood")["tracks"]
    text = name.format(victim=victim) if isinstance(name, str) else name
    preview.change("Wood", tracks=[{**tracks[0], "path": text}, tracks[1]])

    output = apply("--choices", _only(preview, "Wood"), expect=1).stdout

    assert "damaged" in output
    assert snapshot(library.root.parent).items() >= _without(before, preview).items()


@pytest.mark.parametrize("link", ["Sampler", "Sampler/01 Ash.mp3"])
def test_no_link_in_the_library_leads_out_of_it(
    library: Library, preview: Preview, apply: Run, tmp_path: Path, link: str
) -> None:
    path = library.root / link
    outside = path.rename(tmp_path / "outside")
    path.symlink_to(outside)
    before = snapshot(outside) if outside.is_dir() else outside.read_bytes()
    result = apply("--json", expect=1)
    assert "outside" in reasons(result).values()
    assert (snapshot(outside) if outside.is_dir() else outside.read_bytes()) == before


def _link(cover: Path, other: Path) -> None:
    outside = cover.parents[2] / "outside.png"
    cover.rename(outside)
    cover.symlink_to(outside)


def _pipe(cover: Path, other: Path) -> None:
    cover.unlink()
    os.mkfifo(cover)


def _another_seed(cover: Path, other: Path) -> None:
    shutil.copy(cover.with_name(cover.name.replace("-1.png", "-2.png")), cover)


SPOILED: dict[str, Callable[[Path, Path], object]] = {
    "gone": lambda cover, _: cover.unlink(),
    "cut": lambda cover, _: cover.write_bytes(cover.read_bytes()[:-100]),
    "exchanged": lambda cover, other: shutil.copy(other, cover),
    "another seed": _another_seed,
    "foreign": lambda cover, _: cover.write_bytes(picture_bytes("png")),
    "link": _link,
    "pipe": _pipe,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_only_the_very_cover_that_was_painted_is_written_as_a_dry_run_foresees(
    library: Library, preview: Preview, apply: Run, spoil: Callable[[Path, Path], object]
) -> None:
    folder = library.root / "Sampler"
    before = snapshot(folder)
    spoil(preview.covers("Wood")[0], preview.covers("Grain")[0])
    planned = json_lines(apply("--dry-run", "--json", expect=1))
    objects = json_lines(apply("--json", expect=1))
    (told,) = (o for o in objects if o.get("title") == "Wood")
    assert [file["reason"] for file in told["files"]] == ["unfit-cover"]
    (album,) = (o for o in planned if o.get("title") == "Wood")
    assert (album["action"], album["reason"]) == ("skip", "unfit-cover")
    (foreseen,) = (o for o in planned if o["type"] == "file")
    assert foreseen.items() >= told["files"][0].items()
    assert snapshot(folder) == before
    assert front_cover(library.root / "Compilation/01 Rye.flac")


def test_what_covergen_did_not_paint_into_a_cover_is_not_written(
    library: Library, preview: Preview, apply: Run
) -> None:
    (cover, _) = preview.covers("Wood")
    clean = cover.read_bytes()
    cover.write_bytes(clean + b"a stowaway")
    apply()
    assert front_cover(library.root / "Sampler/01 Ash.mp3") == clean


def test_a_cut_or_altered_plan_harms_nothing(
    library: Library, preview: Preview, apply: Run, run: Run
) -> None:
    """Each file is as it was, or holds the cover of its album, and no more is said than need be."""
    before = snapshot(library.root)
    plan = preview.folder / "plan.jsonl"
    whole = plan.read_bytes()
    random = np.random.default_rng(7)
    covers = {path.read_bytes() for path in (preview.folder / "covers").iterdir()}
    for place in random.integers(0, len(whole), 24):
        data = bytearray(whole)
        data[place] ^= 1 << int(random.integers(8))
        for altered in (bytes(data), whole[:place]):
            plan.write_bytes(altered)
            result = CliRunner().invoke(
                cli, ["apply", "-n", str(preview.folder), "--library", str(library.root)]
            )
            assert result.exit_code in (0, 1, 2), result.exception
    assert snapshot(library.root) == before
    plan.write_bytes(bytes(data))
    CliRunner().invoke(cli, ["apply", str(preview.folder), "--library", str(library.root)])
    for path, (content, _) in before.items():
        if path.read_bytes() != content and path not in library.half_bare:
            assert front_cover(path) in covers


@pytest.mark.parametrize(
    ("spoiled", "told"),
    [
        (b"", "is not a covergen plan"),
        (b'{"type": "covergen preview", "format": 99, "version": "9.0"}\n', "9.0"),
        (None, "does not contain a readable preview"),
    ],
)
def test_a_plan_that_is_none_is_told(
    preview: Preview, apply: Run, spoiled: bytes | None, told: str
) -> None:
    plan = preview.folder / "plan.jsonl"
    if spoiled is None:
        plan.unlink()
    else:
        plan.write_bytes(spoiled)
    error = apply(expect=2).stderr
    assert told in error
    assert "covergen preview" in error, "what to do"


def _only(preview: Preview, title: str) -> Path:
    """Choices that reject everything but one album; of a damaged line nothing can be said."""
    file = preview.folder / "only.json"
    others = [a["id"] for a in preview.albums if a["title"] != title]
    file.write_text(json.dumps({"format": 1, "albums": {id_: {"reject": True} for id_ in others}}))
    return file


def _without(
    files: dict[Path, tuple[bytes, int]], preview: Preview
) -> dict[Path, tuple[bytes, int]]:
    return {path: kept for path, kept in files.items() if not path.is_relative_to(preview.folder)}


def test_an_album_that_cannot_hold_its_cover_gets_it_beside(tmp_path: Path, run: Run) -> None:
    library, preview = tmp_path / "library", tmp_path / "preview"
    encode(library / "Album/01 A.aac", "adts", seconds=0.5)
    run("preview", "-m", "tiny", "--sidecar", "-o", preview, library)

    (refused, _) = json_lines(run("apply", preview, "--json"))
    (album, _) = json_lines(run("apply", preview, "--sidecar", "--json"))

    assert (refused["result"], refused["reason"]) == ("skipped", "bare")
    assert album["result"] == "written"
    assert (library / "Album/cover.png").is_file()


def test_cover_file_is_not_written_next_to_other_music(tmp_path: Path, run: Run) -> None:
    library, preview = tmp_path / "Music", tmp_path / "preview"
    for album in "AB":
        encode(library / album / "1.aac", "adts", seconds=0.5)
    run("preview", "-m", "tiny", "--sidecar", "-o", preview, library)
    encode(library / "A/1.aac", "adts", seconds=0.9)

    run("apply", preview, "--sidecar", expect=1)

    assert not (library / "A/cover.png").exists()
    assert (library / "B/cover.png").exists()
