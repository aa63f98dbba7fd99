"""`covergen finetune`: from a folder of music and covers to an adapter that paints."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from covergen.core.types import Sampling
from covergen.journal.lock import library_lock
from covergen.models.presets import load_presets
from tests.functional.conftest import Run, TinyModel, json_lines, snapshot
from tests.functional.test_command_line import python
from tests.media import KINDS, Library, encode
from tests.tiny_clap import make_tiny_clap

ROOT = Path(__file__).parents[2]
# A checkpoint is written every ten epochs: with all pairs in a batch, every ten steps.
REFERENCE = ("--recipe", "reference", "--resolution", 64, "--model", "tiny", "--dtype", "fp32")
SMALL = ("--model", "tiny", "--batch-size", 4, "--max-steps", 6)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def made_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pairs in the reference's layout; each cover is of one colour."""
    folder = tmp_path_factory.mktemp("finetune") / "dataset"
    (folder / "cover_images").mkdir(parents=True)
    for number in range(8):
        stem = f"song-{number}"
        kind = KINDS[number % len(KINDS)]
        encode(folder / f"audio_snippets/{stem}.wav", "wav", seconds=1, kind=kind, seed=number)
        color = tuple(np.random.default_rng(number).integers(256, size=3).tolist())
        Image.new("RGB", (80, 80), color).save(folder / f"cover_images/{stem}.png")
    return folder


@pytest.fixture
def dataset(made_dataset: Path, tmp_path: Path) -> Path:
    """A copy that may be changed, under the same name; its files are linked."""
    for path in made_dataset.rglob("*.*"):
        copy = tmp_path / "dataset" / path.relative_to(made_dataset)
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, copy)
    return tmp_path / "dataset"


def replace(path: Path, data: bytes) -> None:
    """Write a file without touching what it was linked to."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def test_names_that_are_no_utf8_are_trained_on(dataset: Path, run: Run, tmp_path: Path) -> None:
    for path in (dataset / "audio_snippets/song-0.wav", dataset / "cover_images/song-0.png"):
        try:
            path.rename(path.with_stem("Andr\udce9"))
        except OSError:
            pytest.skip("this file system takes UTF-8 alone")
    replace(dataset / "cover_images/Andr\udce8.png", b"no picture")
    objects = json_lines(run("finetune", dataset, *SMALL, "-o", tmp_path / "out", "--json"))
    (begun,) = [o for o in objects if o["type"] == "begin"]
    assert begun["pairs"] + begun["validation_pairs"] == 8


def provenances(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [o["provenance"] for o in objects if o.get("provenance")]


def test_what_comes_out_paints_as_a_file_and_as_a_model(
    dataset: Path, library: Library, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = snapshot(dataset)
    result = run("finetune", dataset, *SMALL, "--save-as", "mine", "--validation", 0.4)
    assert snapshot(dataset) == before
    output = tmp_path / "mine-adapter"
    assert result.output.splitlines()[-1] == "Next: covergen tag --model mine PATH"
    for name in ("adapter.safetensors", "checkpoints/step-6.safetensors", "report.html"):
        assert (output / name).is_file()
    assert "mine" in (output / "report.html").read_text()
    shown = json_lines(run("models", "show", "mine", "--json"))[0]
    tiny = json_lines(run("models", "show", "tiny", "--json"))[0]
    assert shown["sampling"] == tiny["sampling"]
    assert shown["windows"] == tiny["windows"]
    for part in ("base", "clap"):
        assert shown["parts"][part]["path"] == tiny["parts"][part]["path"]
    assert shown["parts"]["adapter"]["path"] == str(output / "adapter.safetensors")

    tracks = library.root / "Two Discs"
    monkeypatch.chdir("/")  # a model is found from anywhere
    by_name = json_lines(run("tag", "--model", "mine", "--json", tracks))
    adapter = ("--adapter", output / "adapter.safetensors")
    by_file = json_lines(run("tag", "--model", "tiny", *adapter, "--force", "--json", tracks))
    (named,), (filed,) = provenances(by_name), provenances(by_file)
    assert named["adapter"] == filed["adapter"]
    assert (named["model"], filed["model"]) == ("mine", "tiny")


def test_the_command_to_use_next_is_told_and_works(
    dataset: Path, tiny_model: TinyModel, library: Library, run: Run, tmp_path: Path
) -> None:
    output = tmp_path / "out put"
    result = run("finetune", dataset, *SMALL, "-o", output, "--base", tiny_model.base, "--json")
    summary = json_lines(result)[-1]
    adapter = output / "adapter.safetensors"
    expected = f"covergen tag --model tiny --base {tiny_model.base} --adapter '{adapter}' PATH"
    assert summary["next"] == expected
    words = ["tag", "--model", "tiny", "--base", tiny_model.base, "--adapter", adapter]
    run(*words, library.root / "Two Discs")


def test_json_tells_every_step_and_a_summary(dataset: Path, run: Run, tmp_path: Path) -> None:
    replace(dataset / "cover_images/song-3.png", b"no picture")
    objects = json_lines(run("finetune", dataset, *SMALL, "-o", tmp_path / "out", "--json"))
    assert {o["format"] for o in objects} == {1}
    steps = [o for o in objects if o["type"] == "step"]
    assert [o["step"] for o in steps] == [1, 2, 3, 4, 5, 6]
    assert all(o["loss"] > 0 and o["rate"] >= 0 and o["steps"] == 6 for o in steps)
    left_out = {o["stem"] for o in objects if o["type"] == "left-out"}
    assert any("song-3" in name for name in left_out)
    summary = objects[-1]
    assert (summary["type"], summary["steps"], summary["interrupted"]) == ("summary", 6, False)
    assert Path(summary["adapter"]).is_file()
    log = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert [o for o in log if o["type"] == "step"] == [
        {k: v for k, v in o.items() if k != "format"} for o in steps
    ]


def test_a_dry_run_tells_what_would_be_trained_and_touches_nothing(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    replace(dataset / "audio_snippets/lonely.wav", b"RIFF")
    before = snapshot(tmp_path)
    words = ("finetune", dataset, "--model", "tiny", "-o", tmp_path / "out", "--dry-run")
    shown = run(*words, "--save-as", "mine", "--batch-size", 3, "--epochs", 5)
    assert "8 of 8 albums" in shown.stdout
    assert "lonely.wav" in shown.stdout
    (plan,) = json_lines(run(*words, "--json", "--batch-size", 3, "--epochs", 5))
    assert (plan["pairs"], plan["unheard"]) == (8, 8)
    trained_on = 8 - plan["held_back"]
    assert plan["steps"] == 5 * -(-trained_on // 3)
    parts = ("--batch-size", 1, "--accumulation", 3, "--epochs", 5, "--crop", "random")
    (in_parts,) = json_lines(run(*words, "--json", *parts))
    assert in_parts["steps"] == plan["steps"]
    assert in_parts["disk_bytes"] > plan["disk_bytes"], "several crops of each picture are kept"
    assert snapshot(tmp_path) == before
    assert "mine" not in run("models", "list").stdout


def test_the_estimated_disk_space_is_about_what_is_taken(
    dataset: Path, run: Run, tmp_path: Path, home: Path
) -> None:
    words = ("finetune", dataset, *SMALL, "-o", tmp_path / "out", "--json")
    (plan,) = json_lines(run(*words, "--dry-run"))
    run(*words)
    made = (tmp_path / "out").rglob("*.safetensors")
    taken = sum(path.stat().st_size for path in made)
    assert plan["disk_bytes"] == pytest.approx(taken, rel=0.2)


def test_embeddings_that_are_there_are_used_as_they_are(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    heard = tmp_path / "heard/out"
    run("finetune", dataset, *SMALL, "-o", heard)
    run("embed", "--model", "tiny", dataset / "audio_snippets", "-o", dataset / "audio_embeddings")
    for path in (dataset / "audio_snippets").iterdir():
        path.unlink()
    read = tmp_path / "read/out"
    run("finetune", dataset, *SMALL, "-o", read)
    adapters = [(folder / "adapter.safetensors").read_bytes() for folder in (heard, read)]
    assert adapters[0] == adapters[1]


def test_a_training_begins_with_what_the_model_hears(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    """After one step that is all but none, the projection is still the one that it began as."""
    own = load_file(tiny_model.adapter)["audio_projection.weight"]
    one_step = ("--model", "tiny", "--max-steps", 1, "--learning-rate", 1e-9)
    begun = {}
    for name, options in {"as-model": (), "anew": ("--from-scratch",)}.items():
        (plan,) = json_lines(run("finetune", dataset, *one_step, *options, "--dry-run", "--json"))
        assert plan["continues"] == (name == "as-model")
        run("finetune", dataset, *one_step, *options, "-o", tmp_path / name)
        begun[name] = load_file(tmp_path / name / "adapter.safetensors")["audio_projection.weight"]
    torch.testing.assert_close(begun["as-model"], own, atol=1e-6, rtol=0)
    assert not torch.allclose(begun["anew"], own, atol=1e-2)


def test_a_training_on_another_base_begins_from_scratch(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_model.base, tmp_path / "other")
    words = ("finetune", dataset, "--model", "tiny", "--base", other, "--dry-run", "--json")
    (plan,) = json_lines(run(*words))
    assert plan["continues"] is False


def test_two_trainings_do_not_share_an_output(dataset: Path, run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with library_lock("finetune", (output,)):
        refused = run("finetune", dataset, *SMALL, "-o", output, expect=1)
    assert "Another covergen is writing in" in refused.stderr
    assert not output.exists()


def test_an_adapter_whose_base_has_changed_says_so(
    dataset: Path, tiny_model: TinyModel, library: Library, run: Run, tmp_path: Path
) -> None:
    run("finetune", dataset, *SMALL, "-o", tmp_path / "out")
    changed = shutil.copytree(tiny_model.base, tmp_path / "changed")
    (weights,) = (changed / "unet").glob("*.safetensors")
    tensors = load_file(weights)
    save_file({name: tensor + 0.01 for name, tensor in tensors.items()}, weights)
    words = ("tag", "--model", "tiny", "--adapter", tmp_path / "out/adapter.safetensors")
    tracks = library.root / "Two Discs"
    assert "other weights" not in run(*words, tracks).stderr
    assert "other weights" in run(*words, "--base", changed, "--force", tracks).stderr


def test_the_reference_recipe_gives_the_references_tensors(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    done = run("finetune", dataset, *REFERENCE, "--max-steps", 2, "-o", tmp_path / "out")
    assert "--quality reference" in done.stderr
    tensors = load_file(tmp_path / "out/adapter.safetensors")
    assert tensors["audio_projection.weight"].shape == (32, 512)
    assert tensors["audio_projection.bias"].shape == (32,)
    ranks = {t.shape[0] for name, t in tensors.items() if "lora_A" in name}
    assert ranks == {4}


def test_what_the_reference_recipe_trained_paints_as_the_reference_does(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    """Its checkpoints, too, are counted in epochs; here of one step each."""
    words = ("finetune", dataset, *REFERENCE, "--epochs", 4, "--save-every", 2)
    run(*words, "-o", tmp_path / "out", "--save-as", "mine")
    saved = sorted(path.name for path in (tmp_path / "out/checkpoints").glob("step-?.safetensors"))
    assert saved == ["step-2.safetensors", "step-4.safetensors"]
    mine = load_presets()["mine"]
    assert mine.sampling == Sampling(steps=50, guidance=7.5, scheduler="ddpm")
    assert (mine.windows, mine.padding) == (1, "silence")


def test_a_base_and_a_clap_given_by_hand_make_a_model_of_their_own(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    parts = ("--base", tiny_model.base, "--clap", tiny_model.clap)
    words = ("finetune", dataset, *parts, "--max-steps", 1, "--batch-size", 2, "--resolution", 64)
    result = run(*words, "-o", tmp_path / "out", "--save-as", "mine")
    assert "starter" not in result.output
    mine = load_presets()["mine"]
    assert (mine.sampling.guidance, mine.sampling.guided_until) == (7.5, 1.0)


def process(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "covergen", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_after(running: "subprocess.Popen[str]", step: int, stop: signal.Signals) -> str:
    """Send a signal when that step is made; returns what stood on stderr."""
    assert running.stdout is not None
    for line in running.stdout:
        if json.loads(line).get("step") == step:
            running.send_signal(stop)
            break
    _, error = running.communicate(timeout=60)
    assert "Traceback" not in error
    return error


def test_killed_or_interrupted_it_goes_on_to_the_very_same_adapter(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    words = ("finetune", dataset, *REFERENCE, "--epochs", 30, "--json")
    # In processes of their own, all of them: what threads a sum is shared by decides its last bit.
    whole = process(*words, "-o", tmp_path / "whole/out")
    stopped = ("-o", tmp_path / "stopped/out")

    running = process(*words, *stopped)
    stop_after(running, 13, signal.SIGKILL)
    assert not (tmp_path / "stopped/out/adapter.safetensors").exists()

    running = process(*words, *stopped, "--resume")
    error = stop_after(running, 24, signal.SIGINT)
    assert running.returncode == 130
    assert "what is trained is saved" in error
    assert "--resume" in error
    assert (tmp_path / "stopped/out/report.html").is_file()

    resumed, _ = process(*words, *stopped, "--resume").communicate()
    (begun,) = [o for line in resumed.splitlines() if (o := json.loads(line))["type"] == "begin"]
    assert begun["step"] >= 24, "an interrupted training is saved where it stands"
    whole.communicate()
    same = [
        (tmp_path / folder / "out/adapter.safetensors").read_bytes()
        for folder in ("whole", "stopped")
    ]
    assert same[0] == same[1]


def test_unreadable_pairs_are_listed_and_left_out_or_stop_a_strict_one(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    cut = (dataset / "cover_images/song-1.png").read_bytes()[:-40]
    replace(dataset / "cover_images/song-1.png", cut)
    replace(dataset / "audio_snippets/song-2.wav", (b"RIFF\x24\0\0\0WAVEfmt " + bytes(30)))
    words = ("finetune", dataset, *SMALL)
    result = run(*words, "-o", tmp_path / "a")
    for stem in ("song-1", "song-2"):
        assert any(
            line.startswith("left out") and stem in line for line in result.stdout.splitlines()
        )
        assert stem in (tmp_path / "a/report.html").read_text()
    replace(dataset / "cover_images/song-3.png", b"no picture")
    dry = run(*words, "-o", tmp_path / "b", "--strict", "--dry-run", expect=1)
    assert "song-3" in dry.stdout
    assert "Next" not in dry.stderr
    error = run(*words, "-o", tmp_path / "b", "--strict", expect=1).stderr
    assert "--strict" in error
    assert not (tmp_path / "b/adapter.safetensors").exists()


def embedding(length: int) -> bytes:
    stream = io.BytesIO()
    torch.save(torch.ones(1, length), stream)
    return stream.getvalue()


def test_what_cannot_be_trained_is_told_in_a_clear_line_before_anything_is_made(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def error(*words: object, expect: int) -> str:
        result = run("finetune", *words, "-o", out, *SMALL, expect=expect)
        assert not out.exists()
        assert "Traceback" not in result.output
        return result.stderr

    (tmp_path / "empty").mkdir()
    assert "no usable pair" in error(tmp_path / "empty", expect=1)
    assert "no usable pair" in error(tmp_path / "empty", "--dry-run", expect=1)
    assert "nowhere" in error(tmp_path / "nowhere", expect=2)
    assert "already" in error(dataset, "--save-as", "starter", expect=2)
    assert "letters" in error(dataset, "--save-as", "my model", expect=2)
    assert "does not exist" in error(dataset, "--base", "./nowhere", expect=1)
    other = make_tiny_clap(tmp_path / "clap", projection_dim=256)
    (dataset / "audio_embeddings").mkdir()
    replace(dataset / "audio_embeddings/song-4.pt", embedding(512))
    told = error(dataset, "--clap", other, expect=1)
    assert "512" in told
    assert "256" in told


def test_other_things_are_not_trained_among(dataset: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    for more in ((), ("--resume",), ("--dry-run",)):
        words = ("finetune", dataset, *SMALL, "-o", tmp_path / "home", *more)
        assert "other things" in run(*words, expect=2).stderr
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]


def test_where_it_goes_on_is_told(dataset: Path, run: Run, tmp_path: Path) -> None:
    words = ("finetune", dataset, *REFERENCE, "--epochs", 12, "--validation", 0.01)
    result = run(*words, "-o", tmp_path / "out", "--resume")
    assert "begins anew" in result.stderr
    assert "too few albums for --validation 0.01" in result.stderr
    (tmp_path / "out/checkpoints/step-12.sha256").unlink()
    assert "from step 10 of 12" in run(*words, "-o", tmp_path / "out", "--resume").stderr


def test_a_model_that_cannot_be_saved_is_told_before_and_after(
    dataset: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("finetune", dataset, *SMALL, "-o", tmp_path / "out", "--save-as", "mine")

    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("covergen.models.save.write_whole", refuse)
    error = run(*words, expect=1).stderr
    assert f"--adapter {tmp_path / 'out/adapter.safetensors'}" in error
    monkeypatch.setattr("covergen.models.save._is_writable", lambda _: False)
    for more in ((), ("--dry-run",)):
        assert "cannot be written" in run(*words, "--resume", *more, expect=2).stderr


def test_what_is_wrong_is_told_before_torch_is_there(dataset: Path, run: Run) -> None:
    code = (
        "import sys; from covergen.cli.main import cli\n"
        "try: cli(sys.argv[1:], standalone_mode=False)\n"
        "except Exception as error: print(type(error).__name__, 'torch' in sys.modules)"
    )
    for words in (
        ("finetune", "nowhere", "--model", "tiny"),
        ("finetune", str(dataset), "--model", "none"),
        ("finetune", str(dataset), "--model", "tiny", "--save-as", "my model"),
        ("models", "export", "nowhere.safetensors", "-o", "out"),
        ("models", "export", "sd15", "-o", "out"),
    ):
        assert python(code, *words).endswith("False\n")


def test_a_training_is_not_begun_over_another_one(dataset: Path, run: Run, tmp_path: Path) -> None:
    words = ("finetune", dataset, *SMALL, "-o", tmp_path / "out", "--save-as", "mine")
    run(*words)
    before = (tmp_path / "out/adapter.safetensors").read_bytes()
    assert "--resume" in run(*words, "--seed", 1, expect=2).stderr
    assert (tmp_path / "out/adapter.safetensors").read_bytes() == before
    again = run(*words, "--resume")
    assert "finished already" in again.stderr
    assert "saved" not in again.stdout
    assert (tmp_path / "out/adapter.safetensors").read_bytes() == before
    assert "seed" in run(*words, "--resume", "--seed", 1, expect=2).stderr
    elsewhere = ("finetune", dataset, *SMALL, "-o", tmp_path / "other", "--save-as", "mine")
    assert "--force" in run(*elsewhere, expect=2).stderr
    run(*elsewhere, "--force")
    shown = json_lines(run("models", "show", "mine", "--json"))[0]
    assert shown["parts"]["adapter"]["path"] == str(tmp_path / "other/adapter.safetensors")
