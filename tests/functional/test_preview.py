"""`covergen preview`: covers to be looked at, and no music file touched."""

import io
import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from covergen.core.reasons import Reason
from covergen.library.pictures_in_files import read_pictures
from tests.functional.conftest import (
    Run,
    ctrl_c_after_an_album,
    json_lines,
    provenance,
    snapshot,
)
from tests.functional.previews import Preview
from tests.media import Library, picture_bytes, put_picture

TAG = ("tag", "--model", "tiny")
PREVIEW = ("preview", "--model", "tiny")


@pytest.fixture
def some(library: Library) -> list[Path]:
    """Folders of the library: three albums to paint, two to leave alone."""
    names = ("Two Discs", "Compilation", "Sampler", "Fully Covered", "Half Covered")
    return [library.root / name for name in names]


@pytest.fixture
def preview(tmp_path: Path) -> Preview:
    return Preview(tmp_path / "preview")


def seconds_of(sound: Path) -> float:
    with av.open(sound) as file:
        frames = list(file.decode(audio=0))
        assert file.streams.audio[0].codec_context.name in ("mp3", "mp3float")
    return sum(frame.samples / frame.sample_rate for frame in frames)


def test_a_library_is_painted_and_not_touched(library: Library, run: Run, preview: Preview) -> None:
    before = snapshot(library.root)

    result = run(*PREVIEW, "-o", preview.folder, library.root, expect=1)

    assert snapshot(library.root) == before
    told = {(album["folder"], album["reason"]) for album in preview.albums}
    for folder, expected in library.albums.items():
        assert (str(folder.relative_to(library.root)), expected.reason.value) in told
    for album in preview.albums:
        assert len(album["candidates"]) == (album["action"] == "paint")
        assert bool(album["excerpt"]) == (album["action"] == "paint")
        for track in album["tracks"]:
            content, mtime_ns = before[library.root / track["path"]]
            assert (track["size"], track["mtime_ns"]) == (len(content), mtime_ns)
    every = preview.album("Every Container")
    (cover,) = preview.covers("Every Container")
    assert provenance(cover)["seed"] == str(every["candidates"][0]["seed"])
    assert provenance(cover)["album_key"] == every["key"]
    for excerpt in (preview.folder / "audio").iterdir():
        assert 0.9 < seconds_of(excerpt) < 1.2, "all of a track of a second"
    with Image.open(preview.folder / "sheet.png") as sheet:
        sheet.load()
    page = (preview.folder / "index.html").read_text()
    assert all(f"covers/{c['cover']}" in page for a in preview.albums for c in a["candidates"])
    assert str(library.root) not in page + (preview.folder / "plan.jsonl").read_text()
    assert result.stderr.splitlines()[-1].endswith(f"covergen apply {preview.folder}")

    folders = [o.get("folder", "") for o in json_lines(run("tag", "-n", "--json", preview.folder))]
    assert not any(folders), "excerpts are not taken for music"


def test_the_first_candidate_is_the_cover_that_tag_paints(
    some: list[Path], run: Run, preview: Preview
) -> None:
    run(*PREVIEW, "-o", preview.folder, "--candidates", 2, "--no-audio", *some)
    first, second = preview.covers("Two Discs")
    assert list((preview.folder / "audio").iterdir()) == []
    run(*TAG, "--yes", *some)
    (embedded,) = read_pictures(some[0] / "CD1/01 Up.mp3", "mp3")
    assert provenance(embedded.data) == provenance(first)
    files = (io.BytesIO(embedded.data), first, second)
    tagged, one, other = (np.asarray(Image.open(file), dtype=np.int16) for file in files)
    assert np.abs(one - tagged).max() <= 1, "for another batch"
    assert np.abs(other - tagged).max() > 1


def test_candidates_take_different_styles(some: list[Path], run: Run, preview: Preview) -> None:
    styles = {"ink brush", "op art", "cut paper"}
    options = [word for style in sorted(styles) for word in ("--style", style)]
    command = (*PREVIEW, "-o", preview.folder, *options, *some)
    run(*command)
    run(*command, "--candidates", 3)
    for title in ("Two Discs", "Wood"):
        assert {provenance(path)["style"] for path in preview.covers(title)} == styles


def test_a_preview_is_gone_on_with(some: list[Path], run: Run, preview: Preview) -> None:
    command = (*PREVIEW, "--json", "-o", preview.folder, *some)
    run(*command)
    painted = snapshot(preview.folder / "covers")

    again = run(*command)
    assert "Loading" not in again.stderr
    assert {o["reason"] for o in json_lines(again)[:-1]} == {"kept", "has-art", "partial-art"}
    assert snapshot(preview.folder / "covers") == painted

    preview.covers("Wood")[0].unlink()
    (some[1] / "01 Rye.flac").touch()  # may sound otherwise now
    put_picture(some[0] / "CD1/01 Up.mp3", "mp3", picture_bytes())
    run(*command)
    assert preview.album("Two Discs")["reason"] == "partial-art"
    covers = snapshot(preview.folder / "covers")
    same = [path for path in covers if covers[path] == painted[path]]
    assert (len(covers), same) == (2, []), "what is no longer wanted goes"

    run(*command, "--candidates", 3)
    more = snapshot(preview.folder / "covers")
    assert len(more) == 6
    assert more.items() >= covers.items()
    assert len({content for content, _ in more.values()}) == 6


def test_one_that_was_stopped_is_whole_and_gone_on_with(
    some: list[Path], run: Run, preview: Preview
) -> None:
    command = (*PREVIEW, "-o", preview.folder, "--batch-size", 1, *some)
    with ctrl_c_after_an_album():
        assert "Run the same command again" in run(*command, expect=130).stderr
    covers = snapshot(preview.folder / "covers")
    assert 0 < len(covers) < 3
    assert Reason.NOT_PAINTED.text in (preview.folder / "index.html").read_text()
    reasons = [o["reason"] for o in json_lines(run("apply", "-n", "--json", preview.folder))[:-1]]
    assert reasons.count("not-painted") == 3 - len(covers)

    run(*command)
    assert len(preview.covers("Wood")) == 1
    assert snapshot(preview.folder / "covers").items() > covers.items()


def test_what_a_kill_cut_off_is_done_again(some: list[Path], run: Run, preview: Preview) -> None:
    command = (*PREVIEW, "--no-audio", "-o", preview.folder, *some)
    run(*command)
    whole = {album["id"]: album for album in preview.albums}
    plan = preview.folder / "plan.jsonl"
    plan.write_bytes(plan.read_bytes()[:-40])
    (preview.folder / "covers/.covergen-77.part").write_bytes(b"half")
    run(*command)
    assert {album["id"]: album for album in preview.albums} == whole
    assert not list(preview.folder.rglob("*.part"))


def test_only_marked_albums_are_painted_again_with_new_seeds(
    some: list[Path], run: Run, preview: Preview, tmp_path: Path
) -> None:
    run(*PREVIEW, "-o", preview.folder, "--candidates", 2, "--seed", 5, *some)
    before, files = preview.album("Wood"), snapshot(preview.folder / "covers")
    others = [album for album in preview.albums if album["title"] != "Wood"]
    choices = preview.choose(tmp_path / "mine.json", Wood={"retry": True}, Grain={"choice": 2})
    command = ("preview", "-o", preview.folder, "--retry", choices)

    hint = run(*command).stderr.splitlines()[-1]  # where and how, it knows
    assert hint.endswith(f"covergen apply {preview.folder} --choices FILE")
    applied = json_lines(run("apply", "-n", "--json", preview.folder, "--choices", choices))
    assert "repainted" in {o["reason"] for o in applied if o.get("title") == "Wood"}

    after = preview.album("Wood")
    assert after["tries"] == 2
    seeds = [[c["seed"] for c in album["candidates"]] for album in (before, after)]
    assert len({*seeds[0], *seeds[1]}) == 4
    assert [album for album in preview.albums if album["title"] != "Wood"] == others
    now = snapshot(preview.folder / "covers")
    assert len(now) == len(files) == 6
    assert len(now.items() & files.items()) == 4

    run(*command)  # as after a Ctrl-C: nothing is left to be done
    assert snapshot(preview.folder / "covers") == now

    preview.choose(choices, Wood={"retry": True})
    run(*command)
    assert preview.album("Wood")["tries"] == 3
    seeds.append([c["seed"] for c in preview.album("Wood")["candidates"]])
    assert len({seed for some in seeds for seed in some}) == 6

    run(*PREVIEW, "-o", preview.folder, "--candidates", 2, "--seed", 5, *some)
    assert preview.album("Wood")["tries"] == 3


def test_a_mark_from_before_another_retry_paints_nothing(
    some: list[Path], run: Run, preview: Preview, tmp_path: Path
) -> None:
    run(*PREVIEW, "-o", preview.folder, "--no-audio", *some)
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    marks = {
        album["id"]: {"retry": True, "seed": str(album["candidates"][0]["seed"])}
        for album in preview.albums
        if album["title"] in ("Wood", "Two Discs")
    }
    wood = preview.album("Wood")["id"]
    files[0].write_text(json.dumps({"format": 1, "albums": {wood: marks[wood]}}))
    files[1].write_text(json.dumps({"format": 1, "albums": marks}))
    command = ("preview", "--json", "-o", preview.folder, "--retry")
    for _ in range(2):  # the second time as after a Ctrl-C
        run(*command, files[0])
        assert preview.album("Wood")["tries"] == 2

    objects = json_lines(run(*command, files[1]))

    told = {o["title"]: (o["result"], o["reason"]) for o in objects if o["type"] == "album"}
    assert told == {"Wood": ("skipped", "repainted"), "Two Discs": ("painted", "no-cover")}
    assert preview.album("Wood")["tries"] == preview.album("Two Discs")["tries"] == 2
    files[1].write_text(json.dumps({"format": 1, "albums": {wood: marks[wood]}}))
    assert "painted again since" in run(*command, files[1], expect=2).stderr


def test_an_album_whose_files_changed_gets_new_seeds_from_a_retry(
    some: list[Path], run: Run, preview: Preview, tmp_path: Path
) -> None:
    run(*PREVIEW, "-o", preview.folder, some[2])
    first = preview.album("Wood")["candidates"][0]["seed"]
    choices = preview.choose(tmp_path / "mine.json", Wood={"retry": True})
    for track in some[2].iterdir():
        os.utime(track, (1, 1))
    run("preview", "-o", preview.folder, "--retry", choices)
    assert preview.album("Wood")["candidates"][0]["seed"] != first
    assert preview.album("Wood")["tries"] == 2


def test_marked_albums_that_are_gone_are_told(
    some: list[Path], run: Run, preview: Preview, tmp_path: Path
) -> None:
    run(*PREVIEW, "-o", preview.folder, "--no-audio", *some)
    before = preview.album("Wood")
    choices = preview.choose(tmp_path / "mine.json", Wood={"retry": True})
    some[2].rename(tmp_path / "elsewhere")
    some[2].mkdir()
    output = run("preview", "-o", preview.folder, "--retry", choices, expect=1).stdout
    assert "changed" in output
    assert preview.album("Wood") == before


def test_an_album_that_cannot_be_heard_is_in_the_plan(
    library: Library, run: Run, preview: Preview
) -> None:
    folder = library.broken_off.parent
    (folder / "01 Whole.flac").unlink()
    head, sync, _ = library.broken_off.read_bytes().partition(b"\xff\xf8")  # of FLAC's frames
    library.broken_off.write_bytes(head + sync + bytes(5000))
    run(*PREVIEW, "-o", preview.folder, folder, expect=1)
    assert [album["reason"] for album in preview.albums] == ["nothing-heard"]
    assert "none of its tracks could be decoded" in (preview.folder / "index.html").read_text()


def test_a_file_named_outright_and_a_relative_path(
    library: Library, run: Run, preview: Preview, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(library.root / "Two Discs/CD1")
    run(*PREVIEW, "-o", preview.folder, "../CD2", "01 Up.mp3", "../../Sampler")
    assert preview.header["roots"] == ["Two Discs", "Sampler"]
    paths = {track["path"] for album in preview.albums for track in album["tracks"]}
    assert {"CD2/01 Up.mp3", "CD1/01 Up.mp3", "01 Ash.mp3"} <= paths
    run("apply", preview.folder)
    for name in ("../CD2/01 Up.mp3", "01 Up.mp3", "../../Sampler/01 Ash.mp3"):
        assert read_pictures(Path(name), "mp3")
    assert not read_pictures(Path("02 Down.mp3"), "mp3")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{library}"], "'--output'"),
        (["-o", "out"], "PATH"),
        (["-o", "out", "--retry", "{file}"], "does not contain a readable preview"),
        (["-o", "{library}/new", "{library}"], "is inside the library"),
        (["-o", "{library}/Sampler/..", "{library}"], "is inside the library"),
        (["-o", "{full}", "{library}/Sampler"], "files that are not a preview"),
        (["-o", "{file}", "{library}/Sampler"], "is a file"),
        (["-o", "{old}", "{library}/Sampler"], "another library: Fully Covered"),
        (["-o", "{old}", "--seed", "1", "{library}/Fully Covered"], "seed was '0', is now '1'"),
        (["-o", "{old}", "--steps", "9", "{library}/Fully Covered"], "steps was '2'"),
        (["-o", "{old}", "--retry", "{file}"], "expected"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(
    library: Library, run: Run, tmp_path: Path, arguments: list[str], told: str
) -> None:
    places = {name: tmp_path / name for name in ("full", "file", "old")}
    places["full"].mkdir()
    (places["full"] / "thesis.txt").touch()
    places["file"].write_text("[]")
    if "{old}" in arguments:
        run(*PREVIEW, "-o", places["old"], library.root / "Fully Covered")
    before = snapshot(tmp_path)
    words = [word.format(library=library.root, **places) for word in arguments]
    assert told in run(*PREVIEW, *words, expect=2).stderr
    assert snapshot(tmp_path) == before


def test_a_preview_that_links_elsewhere_is_not_written_to(
    library: Library, run: Run, preview: Preview, tmp_path: Path
) -> None:
    command = (*PREVIEW, "-o", preview.folder, library.root / "Sampler")
    run(*command)
    (cover,) = preview.covers("Wood")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    cover.unlink()
    cover.symlink_to(victim)
    (preview.folder / "plan.jsonl").write_text(
        (preview.folder / "plan.jsonl").read_text().splitlines()[0] + "\n"
    )
    assert "leads out" in run(*command, expect=2).stderr
    assert victim.read_text() == "mine"


def test_pictures_are_of_the_size_that_is_painted_whatever_tag_would_embed(
    library: Library, run: Run, preview: Preview
) -> None:
    run(*PREVIEW, "-o", preview.folder, "--size", 16, library.root / "Sampler")
    (cover,) = preview.covers("Wood")
    with Image.open(io.BytesIO(cover.read_bytes())) as image:
        assert (image.format, min(image.size) > 16) == ("PNG", True)


def test_names_that_are_no_text_are_shown_and_written_to(
    library: Library, run: Run, preview: Preview
) -> None:
    broken = Path(os.fsdecode(os.fsencode(library.root) + b"/Mu\xffsic/Al\xfebum"))
    broken.parent.mkdir()
    (library.root / "Untagged").rename(broken)
    run(*PREVIEW, "-o", preview.folder, broken.parent)
    assert "Mu?sic" in (preview.folder / "index.html").read_text()
    run("apply", preview.folder)
    assert all(read_pictures(path, "mp3") for path in broken.iterdir())


def test_tag_still_previews_and_says_what_replaces_it(
    library: Library, run: Run, preview: Preview, tmp_path: Path
) -> None:
    folder = library.root / "Sampler"
    former = ("tag", "-n", "--no-audio", "--preview", preview.folder)
    result = run(*former, "-m", "tiny", "--candidates", 2, "--seed", 5, folder)
    assert [line for line in result.stderr.splitlines() if "covergen preview PATH" in line]
    assert len(preview.covers("Wood")) == 2
    choices = preview.choose(tmp_path / "mine.json", Wood={"retry": True})
    run(*former, "--retry", choices)
    assert preview.album("Wood")["tries"] == 2
    run("preview", "-o", preview.folder, "--retry", choices)  # finds nothing left to paint
    assert preview.album("Wood")["tries"] == 2


@pytest.mark.parametrize("option", [("--for", "player"), ("--format", "jpeg"), ("--artists",)])
def test_tag_refuses_to_preview_how_covers_are_written(
    library: Library, run: Run, option: tuple[object, ...]
) -> None:
    former = ("tag", "-n", "-m", "tiny", "--preview", "out", library.root)
    assert f"{option[0]} and --preview" in run(*former, *option, expect=2).stderr


@pytest.mark.parametrize("option", [("--candidates", 2), ("--no-audio",)])
def test_tag_refuses_the_options_of_a_preview(
    library: Library, run: Run, option: tuple[object, ...]
) -> None:
    assert "`covergen preview`" in run(*TAG, "-n", *option, library.root, expect=2).stderr
    preview = (*TAG, "--preview", "out", library.root)
    assert "--dry-run" in run(*preview, expect=2).stderr


def test_preview_takes_the_settings_that_it_shares_with_tag(
    library: Library, run: Run, home: Path, preview: Preview
) -> None:
    config = home / "config/covergen/config.toml"
    config.write_text('[tag]\nmodel = "tiny"\nseed = 5\ncandidates = 2\n[preview]\nseed = 6\n')
    run("preview", "-o", preview.folder, library.root / "Sampler")
    assert preview.header["settings"].items() >= {"model": "tiny", "seed": "6"}.items()
    assert len(preview.covers("Wood")) == 2
    run("tag", "-n", library.root / "Sampler")
