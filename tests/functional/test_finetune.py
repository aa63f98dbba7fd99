"""`covergen finetune`: train an adapter on a folder of music and covers."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from covergen.core.cover import Sampling
from covergen.core.errors import ModelError
from covergen.diffusion.adapter_file import inspect, read_tensors
from covergen.jobs.finetune import run as finetune_run
from covergen.journal.lock import library_lock
from covergen.models.presets import load_presets
from covergen.training.trainable_weights import Learner
from tests.functional.conftest import Run, TinyModel, json_lines, snapshot
from tests.functional.test_command_line import python
from tests.home import run_at_home
from tests.media import KINDS, Library, encode
from tests.tiny_base import make_tiny_adapter
from tests.tiny_clap import make_tiny_clap
from tests.tiny_lora import make_tiny_lora
from tests.tiny_pipelines import make_tiny_decoder

ROOT = Path(__file__).parents[2]
# All pairs fit in one batch, so that steps are epochs; a checkpoint is saved every ten.
REFERENCE = ("--recipe", "reference", "--resolution", 64, "--model", "tiny", "--dtype", "fp32")
SMALL = ("--model", "tiny", "--batch-size", 4, "--max-steps", 6)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def made_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pairs in the reference's layout; each cover has a single color."""
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
    """A copy that may be changed. Its files are hard links."""
    for path in made_dataset.rglob("*.*"):
        copy = tmp_path / "dataset" / path.relative_to(made_dataset)
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, copy)
    return tmp_path / "dataset"


def replace(path: Path, data: bytes) -> None:
    """Replace a file without changing what it is linked to."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def provenances(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [o["provenance"] for o in objects if o.get("provenance")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What `finetune` printed, its output folder, and models.toml with the model "mine"."""

    words: tuple[object, ...]
    printed: str
    output: Path
    models: str


@pytest.fixture(scope="session")
def trained_once(
    made_dataset: Path, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    models = folder / "config/covergen/models.toml"
    models.parent.mkdir(parents=True)
    models.write_text(tiny_model.preset())
    words = ("finetune", made_dataset, *SMALL, "--save-as", "mine", "--validation", 0.4)
    before = snapshot(made_dataset)
    with chdir(folder):
        result = run_at_home(folder, *words)
    assert snapshot(made_dataset) == before
    output = folder / "mine-adapter"
    return Trained(words=words, printed=result.output, output=output, models=models.read_text())


@pytest.fixture
def trained(trained_once: Trained, run: Run, home: Path) -> Trained:
    """A finished training, which tests do not change, and its model."""
    (home / "config/covergen/models.toml").write_text(trained_once.models)
    return trained_once


def test_all_music_is_embedded_before_processes_join(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embedding can take longer than processes wait for each other once they have joined."""

    order = []
    make_examples = finetune_run.make_examples

    def embed(*arguments: Any, **options: Any) -> object:
        examples = make_examples(*arguments, **options)
        order.append("embedded")
        return examples

    def join(**_options: object) -> None:
        order.append("joined")
        raise ModelError("A process is missing.")

    monkeypatch.setattr(finetune_run, "make_examples", embed)
    monkeypatch.setattr(finetune_run, "PartialState", join)
    run("finetune", dataset, *SMALL, "-o", tmp_path / "new", expect=1)
    assert order == ["embedded", "joined"]


def test_adapter_can_be_used_as_a_file_and_as_a_model(
    trained: Trained, library: Library, run: Run
) -> None:
    output = trained.output
    assert trained.printed.splitlines()[-1] == "Next: covergen tag --model mine PATH"
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
    by_name = json_lines(run("tag", "--model", "mine", "--json", tracks))
    adapter = ("--adapter", output / "adapter.safetensors")
    by_file = json_lines(run("tag", "--model", "tiny", *adapter, "--force", "--json", tracks))
    (model,), (file,) = provenances(by_name), provenances(by_file)
    assert model["adapter"] == file["adapter"]
    assert (model["model"], file["model"]) == ("mine", "tiny")


def test_best_adapter_is_named_beside_the_last(trained: Trained, run: Run) -> None:
    assert "best      mine-adapter/adapter-best.safetensors: step 6" in trained.printed
    best = trained.output / "adapter-best.safetensors"
    resumed = run(*trained.words, "-o", trained.output, "--resume", "--json")
    assert json_lines(resumed)[-1]["best"]["path"] == str(best)
    assert "adapter-best.safetensors" in (trained.output / "report.html").read_text()


def test_json_has_every_step_a_summary_and_the_next_command(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    replace(dataset / "cover_images/song-3.png", b"not a picture")
    out, base = tmp_path / "out put", tiny_model.base
    objects = json_lines(run("finetune", dataset, *SMALL, "-o", out, "--base", base, "--json"))
    assert {o["format"] for o in objects} == {1}
    steps = [o for o in objects if o["type"] == "step"]
    assert [o["step"] for o in steps] == [1, 2, 3, 4, 5, 6]
    assert all(o["loss"] > 0 and o["rate"] >= 0 and o["steps"] == 6 for o in steps)
    left_out = {o["stem"] for o in objects if o["type"] == "left-out"}
    assert any("song-3" in name for name in left_out)
    summary = objects[-1]
    assert (summary["type"], summary["steps"], summary["interrupted"]) == ("summary", 6, False)
    adapter = out / "adapter.safetensors"
    assert summary["adapter"] == str(adapter)
    next_ = f"covergen tag --model tiny --base {base} --adapter '{adapter}' PATH"
    assert summary["next"] == next_
    run(*shlex.split(next_)[1:-1], "--dry-run", tmp_path)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [o for o in log if o["type"] == "step"] == [
        {k: v for k, v in o.items() if k != "format"} for o in steps
    ]


def test_dry_run_prints_the_plan_and_changes_nothing(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    replace(dataset / "audio_snippets/lonely.wav", b"RIFF")
    before = snapshot(tmp_path)
    words = ("finetune", dataset, "--model", "tiny", "-o", tmp_path / "out", "--dry-run")
    shown = run(*words, "--save-as", "mine", "--batch-size", 3, "--epochs", 5)
    assert "8 from 8 albums" in shown.stdout
    assert "lonely.wav" in shown.stdout
    (plan,) = json_lines(run(*words, "--json", "--batch-size", 3, "--epochs", 5))
    assert (plan["pairs"], plan["to_embed"]) == (8, 8)
    trained_on = 8 - plan["held_back"]
    assert plan["steps"] == 5 * -(-trained_on // 3)
    parts = ("--batch-size", 1, "--accumulation", 3, "--epochs", 5, "--crop", "random")
    (in_parts,) = json_lines(run(*words, "--json", *parts))
    assert in_parts["steps"] == plan["steps"]
    assert in_parts["disk_bytes"] > plan["disk_bytes"], "several crops of each picture are cached"
    assert snapshot(tmp_path) == before
    assert "mine" not in run("models", "list").stdout


def test_dry_run_counts_captions_that_are_too_long(dataset: Path, run: Run) -> None:
    metadata = f"image_filename,caption\nsong-0.png,{'red blue ' * 60}\n"
    replace(dataset / "metadata.csv", metadata.encode())
    plan = ("finetune", dataset, "--model", "tiny", "--dry-run")
    assert json_lines(run(*plan, "--json"))[0]["long_captions"] == 1
    assert "of 1, only the beginning" in run(*plan).stdout


def test_embedding_files_replace_audio_files(
    trained: Trained, dataset: Path, run: Run, tmp_path: Path
) -> None:
    run("embed", "--model", "tiny", dataset / "audio_snippets", "-o", dataset / "audio_embeddings")
    for path in (dataset / "audio_snippets").iterdir():
        path.unlink()
    out = tmp_path / "mine-adapter"
    run("finetune", dataset, *trained.words[2:], "--force", "-o", out)
    for name in ("adapter.safetensors", "adapter-best.safetensors"):
        assert (out / name).read_bytes() == (trained.output / name).read_bytes()


def test_training_starts_from_the_models_projection(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    """One step at a tiny learning rate hardly changes the projection."""
    own = load_file(tiny_model.adapter)["audio_projection.weight"]
    one_step = ("--model", "tiny", "--max-steps", 1, "--learning-rate", 1e-9)
    weights = {}
    for name, options in {"model": (), "scratch": ("--from-scratch",)}.items():
        (plan,) = json_lines(run("finetune", dataset, *one_step, *options, "--dry-run", "--json"))
        assert plan["continues"] == (name == "model")
        run("finetune", dataset, *one_step, *options, "-o", tmp_path / name)
        tensors = load_file(tmp_path / name / "adapter.safetensors")
        weights[name] = tensors["audio_projection.weight"]
    torch.testing.assert_close(weights["model"], own, atol=1e-6, rtol=0)
    assert not torch.allclose(weights["scratch"], own, atol=1e-2)

    other_base = shutil.copytree(tiny_model.base, tmp_path / "other")
    words = ("finetune", dataset, *one_step, "--base", other_base, "--dry-run", "--json")
    (plan,) = json_lines(run(*words))
    assert plan["continues"] is False


@pytest.mark.parametrize("reference", [False, True])
def test_training_continues_an_adapter_file(
    reference: bool, dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    """One step at a tiny learning rate hardly changes the LoRA and the projection."""
    file = make_tiny_adapter(
        tmp_path / "file.safetensors",
        tiny_model.base,
        projection="linear" if reference else "tokens",
        rank=4,
        reference=reference,
    )
    scale = 1.0
    if not reference:  # an alpha of half the rank, which the new adapter has not
        scale = 0.5
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() | {"covergen.alpha": "2"}
        save_file(load_file(file), file, metadata)
    one_step = ("--model", "tiny", "--max-steps", 1, "--learning-rate", 1e-9, "--init", file)
    assert str(file) in run("finetune", dataset, *one_step, "--dry-run").stdout
    run("finetune", dataset, *one_step, "-o", tmp_path / "out")
    trained = tmp_path / "out/adapter.safetensors"
    found, expected = inspect(trained), inspect(file)
    assert (found.rank, found.alpha, found.tokens) == (4, 4, expected.tokens)
    assert found.empty_prompt == expected.empty_prompt == ("masked" if reference else "plain")
    assert "file.safetensors" in (tmp_path / "out/report.html").read_text()
    tensors = read_tensors(found)
    for name, tensor in read_tensors(expected).items():
        by = scale if ".lora_B." in name else 1
        torch.testing.assert_close(tensors[name], tensor * by, atol=1e-6, rtol=0)

    resume = ("finetune", dataset, "--model", "tiny", "--max-steps", 1, "--resume")
    error = run(*resume, "--learning-rate", 1e-9, "-o", tmp_path / "out", expect=2).stderr
    assert "init was file.safetensors" in error


def test_init_must_fit(dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path) -> None:
    file = make_tiny_adapter(tmp_path / "file.safetensors", tiny_model.base, rank=4)
    other = make_tiny_adapter(tmp_path / "other.safetensors", tiny_model.base, d_audio=256)
    words = ("finetune", dataset, "--model", "tiny", "--dry-run", "--init")
    assert "has rank 4" in run(*words, file, "--rank", 8, expect=2).stderr
    assert "length 256" in run(*words, other, expect=1).stderr
    assert "--from-scratch" in run(*words, file, "--from-scratch", expect=2).stderr
    assert "no such file" in run(*words, tmp_path / "gone", expect=1).stderr


def test_8_bit_adamw_is_refused_before_anything_is_embedded(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    words = ("finetune", dataset, *SMALL, "-o", tmp_path / "out", "--device", "cpu")
    assert "CUDA" in run(*words, "--optimizer", "adamw8bit", expect=2).stderr
    assert not (tmp_path / "out").exists()


def test_output_folder_is_locked(dataset: Path, run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with library_lock("finetune", (output,)):
        refused = run("finetune", dataset, *SMALL, "-o", output, expect=1)
    assert "Another covergen is writing in" in refused.stderr
    assert not output.exists()


@pytest.mark.parametrize(("part", "name"), [("base", "base"), ("clap", "CLAP model")])
def test_warning_if_a_part_changed_after_training(
    trained: Trained,
    tiny_model: TinyModel,
    library: Library,
    run: Run,
    tmp_path: Path,
    part: str,
    name: str,
) -> None:
    changed = shutil.copytree(getattr(tiny_model, part), tmp_path / "changed")
    (weights,) = (changed / "unet" if part == "base" else changed).glob("*.safetensors")
    tensors = load_file(weights)
    save_file(
        {key: tensor + 0.01 for key, tensor in tensors.items()}, weights, metadata={"format": "pt"}
    )
    words = ("tag", "--model", "mine")
    tracks = library.root / "Two Discs"
    assert "was trained with another" not in run(*words, tracks).stderr
    warned = run(*words, f"--{part}", changed, "--force", tracks).stderr
    assert f"The adapter of mine was trained with another {name}" in warned


def test_reference_recipe_saves_a_model_with_the_references_settings(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    """--save-every counts epochs, which are single steps here."""
    words = ("finetune", dataset, *REFERENCE, "--epochs", 4, "--save-every", 2)
    run(*words, "-o", tmp_path / "out", "--save-as", "mine")
    saved = sorted(path.name for path in (tmp_path / "out/checkpoints").glob("step-?.safetensors"))
    assert saved == ["step-2.safetensors", "step-4.safetensors"]
    mine = load_presets()["mine"]
    assert mine.sampling == Sampling(steps=50, guidance=7.5, scheduler="ddpm")
    assert (mine.windows, mine.padding) == (1, "silence")
    tensors = load_file(tmp_path / "out/adapter.safetensors")
    assert tensors["audio_projection.weight"].shape == (32, 512)
    assert {t.shape[0] for name, t in tensors.items() if "lora_A" in name} == {4}


def test_model_from_base_and_clap_options_does_not_inherit_from_the_starter(
    dataset: Path, tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    parts = ("--base", tiny_model.base, "--clap", tiny_model.clap)
    words = ("finetune", dataset, *parts, "--max-steps", 1, "--batch-size", 2, "--resolution", 64)
    result = run(*words, "-o", tmp_path / "out", "--save-as", "mine")
    assert "starter" not in result.output
    mine = load_presets()["mine"]
    assert (mine.sampling.guidance, mine.sampling.guided_until) == (7.5, 1.0)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The number of threads affects the last bits of sums; OMP_NUM_THREADS is for processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def kill_after_step(step: int, *arguments: object) -> None:
    """Kill a covergen after a step."""
    command = [sys.executable, "-m", "covergen", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line).get("step") == step:
                running.kill()


@contextmanager
def ctrl_c_after_step(step: int) -> Iterator[None]:
    update = Learner.update

    def update_and_stop(self: Learner) -> None:
        update(self)
        if self.step == step:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "update", update_and_stop)
        yield


@pytest.mark.processes
def test_killed_and_interrupted_training_resumes_to_the_same_adapter(
    dataset: Path, run: Run, one_thread: None, tmp_path: Path
) -> None:
    words = ("finetune", dataset, *REFERENCE, "--epochs", 15, "--json")
    run(*words, "-o", tmp_path / "whole/out")
    stopped = ("-o", tmp_path / "stopped/out")

    kill_after_step(11, *words, *stopped)
    assert not (tmp_path / "stopped/out/adapter.safetensors").exists()

    with ctrl_c_after_step(12):
        error = run(*words, *stopped, "--resume", expect=130).stderr
    assert "Interrupted" in error
    assert "--resume" in error
    assert (tmp_path / "stopped/out/report.html").is_file()

    resumed = json_lines(run(*words, *stopped, "--resume"))
    (start,) = [o for o in resumed if o["type"] == "begin"]
    assert start["step"] >= 12, "the state is saved on interruption"
    adapters = [
        (tmp_path / folder / "out/adapter.safetensors").read_bytes()
        for folder in ("whole", "stopped")
    ]
    assert adapters[0] == adapters[1]


def embedding(length: int) -> bytes:
    stream = io.BytesIO()
    torch.save(torch.ones(1, length), stream)
    return stream.getvalue()


def test_errors_are_clear_and_leave_no_output(
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
    message = error(dataset, "--clap", other, expect=1)
    assert "512" in message
    assert "256" in message


def test_output_folder_must_not_contain_other_files(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    for more in ((), ("--resume",), ("--dry-run",)):
        words = ("finetune", dataset, *SMALL, "-o", tmp_path / "home", *more)
        assert "other files" in run(*words, expect=2).stderr
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]


def test_error_if_the_model_cannot_be_saved(
    dataset: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("finetune", dataset, *SMALL, "-o", tmp_path / "out", "--save-as", "mine")

    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("covergen.models.save_preset.write_whole", refuse)
    error = run(*words, expect=1).stderr
    assert f"--adapter {tmp_path / 'out/adapter.safetensors'}" in error
    monkeypatch.setattr("covergen.models.save_preset._is_writable", lambda _: False)
    for more in ((), ("--dry-run",)):
        assert "cannot be written" in run(*words, "--resume", *more, expect=2).stderr


@pytest.mark.processes
def test_usage_errors_do_not_import_torch(dataset: Path, run: Run) -> None:
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


def test_existing_trainings_and_models_are_not_overwritten(
    trained: Trained, run: Run, tmp_path: Path
) -> None:
    words = (*trained.words, "-o", trained.output)
    before = (trained.output / "adapter.safetensors").read_bytes()
    assert "--resume" in run(*words, "--seed", 1, expect=2).stderr
    again = run(*words, "--resume")
    assert "already finished" in again.stderr
    assert "saved" not in again.stdout
    assert "seed" in run(*words, "--resume", "--seed", 1, expect=2).stderr
    assert (trained.output / "adapter.safetensors").read_bytes() == before
    elsewhere = (*trained.words, "-o", tmp_path / "other", "--max-steps", 1)
    assert "--force" in run(*elsewhere, expect=2).stderr
    run(*elsewhere, "--force")
    shown = json_lines(run("models", "show", "mine", "--json"))[0]
    assert shown["parts"]["adapter"]["path"] == str(tmp_path / "other/adapter.safetensors")


def test_loras_and_vae_of_a_model_are_trained_with_and_kept(
    dataset: Path, tiny_model: TinyModel, run: Run, home: Path, tmp_path: Path
) -> None:
    lora = make_tiny_lora(tmp_path / "lora.safetensors", tiny_model.base)
    vae = make_tiny_decoder(tmp_path / "vae")
    models = home / "config/covergen/models.toml"
    own = models.read_text()

    def give(weight: float) -> None:
        extra = f'loras = [{{ source = "{lora}", weight = {weight} }}]\nvae = "{vae}"\n'
        models.write_text(f"{own}{extra}")

    give(0.5)
    words = ("finetune", dataset, *SMALL, "-o", tmp_path / "out")
    run(*words, "--dry-run")
    run(*words, "--save-as", "mine")
    trained = inspect(tmp_path / "out/adapter.safetensors").training
    assert trained["loras"].startswith(f"{lora} × 0.5 (SHA-256 ")
    assert trained["vae"] == str(vae)
    assert str(lora) in (tmp_path / "out/report.html").read_text()
    mine = json_lines(run("models", "show", "mine", "--json"))[0]
    assert [(part["source"], part["weight"]) for part in mine["loras"]] == [(str(lora), 0.5)]
    assert mine["parts"]["vae"]["path"] == str(vae)
    give(0.25)
    error = run(*words, "--resume", expect=2).stderr
    assert f"loras was {lora} × 0.5" in error
    assert f"is {lora} × 0.25" in error
    lora.write_bytes(tiny_model.adapter.read_bytes())
    assert "is not a LoRA" in run(*words, "--resume", "--dry-run", expect=1).stderr


@pytest.mark.parametrize("recipe", ["default", "reference"])
@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("sd15-lcm", "Train sd15, which has the same base."),
        ("sd-turbo", "Train a model that paints in more steps, such as sd15."),
    ],
)
def test_a_model_for_a_few_steps_is_not_trained(
    dataset: Path, run: Run, model: str, advice: str, recipe: str
) -> None:
    error = run("finetune", dataset, "--model", model, "--recipe", recipe, expect=2).stderr
    assert "distilled to paint in a few steps" in error
    assert advice in error
    assert (f"covergen tag --model {model} --adapter FILE" in error) == (model == "sd15-lcm")
