"""One output file per track: its folder, its name, and that it is written atomically."""

import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from covergen.core.album import Action, AlbumPlan, Status
from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.library.scanning.scan import ScanOptions
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.events import AlbumDone, Event, FileFailed
from covergen.pipeline.track_outputs import TrackOutputs


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return tmp_path / "music"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _add(sound: bytes, *paths: Path) -> None:
    """Add music files, whatever their extension."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound)


def _plans(outputs: TrackOutputs) -> tuple[list[AlbumPlan], list[Event]]:
    events: list[Event] = []
    with closing(ScanCache()) as scan_cache:
        return list(outputs.plans(scan_cache, events.append, lambda: None)), events


def _made(outputs: TrackOutputs) -> dict[Path, Path]:
    """Write all outputs; return them by track."""
    plans, _ = _plans(outputs)
    made = {}
    for plan in plans:
        (track,) = plan.targets
        outcome = outputs.write(plan, b"made")
        assert (outcome.status, outcome.reason) == (Status.WRITTEN, Reason.MADE)
        assert outcome.path.read_bytes() == b"made"
        made[track.path] = outcome.path
    return made


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _outputs(
    output: Path, *paths: Path, force: bool = False, exclude: Iterable[str] = ()
) -> TrackOutputs:
    return TrackOutputs(
        paths=paths,
        output=output,
        suffix=".png",
        force=force,
        scan=ScanOptions(exclude=tuple(exclude), per="track"),
    )


# Folders of outputs.


def test_output_keeps_subfolders(music: Path, out: Path, sound: bytes) -> None:
    tracks = [music / "top.wav", music / "One/01.wav", music / "Two/Disc 1/01.wav"]
    _add(sound, *tracks)

    assert _made(_outputs(out, music)) == {
        tracks[0]: out / "top.png",
        tracks[1]: out / "One/01.png",
        tracks[2]: out / "Two/Disc 1/01.png",
    }
    assert _files(out) == {"top.png", "One/01.png", "Two/Disc 1/01.png"}


def test_output_of_a_named_file_has_no_subfolder(music: Path, out: Path, sound: bytes) -> None:
    track = music / "One/01.wav"
    _add(sound, track)

    assert _made(_outputs(out, track)) == {track: out / "01.png"}
    # A file that is also in a named folder is written once, with its subfolder.
    assert _made(_outputs(out, track, music)) == {track: out / "One/01.png"}


@pytest.mark.parametrize("turned", [False, True])
def test_innermost_of_nested_roots_is_used(
    music: Path, out: Path, sound: bytes, turned: bool
) -> None:
    tracks = [music / "One/01.wav", music / "Two/Disc 1/02.wav"]
    _add(sound, *tracks)
    roots = [music, music / "Two"]

    made = _made(_outputs(out, *(reversed(roots) if turned else roots)))

    assert made == {tracks[0]: out / "One/01.png", tracks[1]: out / "Disc 1/02.png"}


# Names of outputs.


def test_tracks_with_the_same_stem_get_separate_outputs(
    music: Path, out: Path, sound: bytes
) -> None:
    tracks = [music / "song.aiff", music / "song.flac", music / "song.wav", music / "other.wav"]
    _add(sound, *tracks)

    made = _made(_outputs(out, music))

    assert set(made) == set(tracks)
    assert _files(out) == {"song.png", "song.flac.png", "song.wav.png", "other.png"}
    assert made[music / "song.flac"] == out / "song.flac.png"


def test_files_with_the_same_name_get_separate_outputs(
    music: Path, out: Path, sound: bytes
) -> None:
    tracks = [music / f"{folder}/01.wav" for folder in "abcd"]
    _add(sound, *tracks)

    made = _made(_outputs(out, *tracks))

    assert set(made) == set(tracks)
    assert len(set(made.values())) == 4
    assert _files(out) == {"01.png", "01.wav.png", "01.wav-2.png", "01.wav-3.png"}


def test_output_names_are_stable_between_runs(music: Path, out: Path, sound: bytes) -> None:
    _add(sound, music / "song.flac", music / "song.wav")
    first = _made(_outputs(out, music))
    lost = first[music / "song.wav"]
    lost.unlink()

    assert _made(_outputs(out, music)) == {music / "song.wav": lost}


def test_single_track_accepts_a_file_name(music: Path, tmp_path: Path, sound: bytes) -> None:
    track, output = music / "01.wav", tmp_path / "new/folder/Picture.PNG"
    _add(sound, track)

    assert _made(_outputs(output, track)) == {track: output}


# Existing outputs and failures.


def test_existing_output_is_kept(music: Path, out: Path, sound: bytes) -> None:
    _add(sound, music / "1.wav", music / "2.wav")
    out.mkdir()
    (out / "1.png").write_bytes(b"mine")

    plans, events = _plans(_outputs(out, music))

    assert [plan.targets[0].path.name for plan in plans] == ["2.wav"]
    (skipped,) = events
    assert isinstance(skipped, AlbumDone)
    assert (skipped.plan.action, skipped.reason) == (Action.SKIP, Reason.OUTPUT_EXISTS)
    assert skipped.plan.album.tracks[0].path == music / "1.wav"
    assert (out / "1.png").read_bytes() == b"mine"


def test_file_that_is_not_music_is_reported(music: Path, out: Path, sound: bytes) -> None:
    _add(sound, music / "1.wav", music / "skip/3.wav")
    _add(b"text", music / "2.wav")

    plans, events = _plans(_outputs(out, music, exclude=["skip"]))

    assert [plan.targets[0].path.name for plan in plans] == ["1.wav"]
    (failed,) = events
    assert isinstance(failed, FileFailed)
    assert (failed.outcome.path, failed.outcome.reason) == (music / "2.wav", Reason.NOT_AUDIO)


@pytest.mark.parametrize("there", [True, False])
def test_output_is_written_atomically(
    music: Path, out: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    _add(sound, music / "1.wav")
    out.mkdir()
    if there:
        (out / "1.png").write_bytes(b"old")
    outputs = _outputs(out, music, force=True)
    (plan,), _ = _plans(outputs)

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        outcome = outputs.write(plan, b"made")

    assert (outcome.path, outcome.status, outcome.reason) == (
        out / "1.png",
        Status.FAILED,
        Reason.NO_SPACE,
    )
    assert outcome.message == "No space left on device"
    assert [(p.name, p.read_bytes()) for p in out.iterdir()] == [("1.png", b"old")] * there


def test_folder_that_cannot_be_created_fails_only_its_track(
    music: Path, out: Path, sound: bytes
) -> None:
    _add(sound, music / "One/1.wav", music / "Two/1.wav")
    out.mkdir()
    (out / "One").write_bytes(b"a file")
    outputs = _outputs(out, music)
    plans, _ = _plans(outputs)

    failed, made = (outputs.write(plan, b"made") for plan in plans)

    assert (failed.path, failed.status) == (out / "One/1.png", Status.FAILED)
    assert failed.message
    assert (made.path, made.status) == (out / "Two/1.png", Status.WRITTEN)


# What is refused before anything starts.


def test_output_below_a_file_is_refused(music: Path, out: Path, sound: bytes) -> None:
    _add(sound, music / "1.wav")
    out.write_bytes(b"mine")

    with pytest.raises(UsageError, match="is a file"):
        _outputs(out, music)

    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize("names", [[""], ["1.wav", "2.wav"]])
def test_several_tracks_with_one_output_file_are_refused(
    music: Path, tmp_path: Path, sound: bytes, names: list[str]
) -> None:
    _add(sound, music / "1.wav", music / "2.wav")
    output = tmp_path / "one.png"

    with pytest.raises(UsageError, match="is one file"):
        _plans(_outputs(output, *(music / name for name in names)))

    assert not output.exists()


@pytest.mark.parametrize("name", ["", "deep/er", "one.png"])
def test_read_only_output_is_refused(
    music: Path, out: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    track = music / "1.wav"
    _add(sound, track)
    out.mkdir()
    access = os.access  # says yes to all that root asks
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out and access(path, mode))

    with pytest.raises(UsageError, match="read-only"):
        _outputs(out / name, track)

    assert not list(out.iterdir())
