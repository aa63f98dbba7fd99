"""Models that diffusers paints with, LoRAs, another VAE, and distilled bases."""

import hashlib
import json
import re
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from click.testing import Result
from diffusers import EulerDiscreteScheduler, LCMScheduler, StableDiffusionXLPipeline
from PIL import Image

from covergen.diffusion.quiet import quiet
from tests.functional.conftest import Run, TinyModel, json_lines, provenance
from tests.media import Library
from tests.plain_diffusion import difference
from tests.tiny_lora import make_tiny_lora
from tests.tiny_pipelines import make_tiny_decoder, make_tiny_pipeline


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "xl", "sdxl")


@pytest.fixture
def models(run: Run, home: Path, tiny_model: TinyModel, sdxl: Path) -> Path:
    """The user's models.toml, with a pipeline "xl"."""
    file = home / "config/covergen/models.toml"
    with file.open("a") as stream:
        stream.write(f'[xl]\nbase = "{sdxl}"\nclap = "{tiny_model.clap}"\n')
    return file


def test_pipeline_paints_what_diffusers_paints(
    library: Library, run: Run, models: Path, sdxl: Path, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    options = ("--seed", 7, "--steps", 2, "--style", "a red circle")
    run("generate", "-q", "--model", "xl", track, "-o", tmp_path / "a.png", *options)
    written = provenance(tmp_path / "a.png")
    prompt = written.get("prompt") or written["style"]
    assert prompt.startswith("a red circle")
    with quiet():
        pipeline = StableDiffusionXLPipeline.from_pretrained(sdxl)
        pipeline.set_progress_bar_config(disable=True)
        (expected,) = pipeline(
            prompt, num_inference_steps=2, generator=torch.Generator().manual_seed(7)
        ).images
    with Image.open(tmp_path / "a.png") as picture:
        assert difference(np.asarray(picture), np.asarray(expected)) <= 1
    assert (written["base"], written["adapter"]) == (str(sdxl), "none")
    assert (written["steps"], written["guidance"]) == ("2", "5.0")
    assert (written["scheduler"], written["style"]) == ("default", "a red circle")


def test_cover_of_a_pipeline_can_be_repeated(
    library: Library, run: Run, models: Path, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    picture = track.with_name("made.png")
    run("generate", "-q", "--model", "xl", "--steps", 1, track, "-o", picture)
    (info,) = json_lines(run("info", "--json", picture))
    _, name, *arguments = info["command"]
    position = arguments.index("--output") + 1
    arguments[position] = str(tmp_path / "again.png")
    run(name, "-q", *arguments)
    assert (tmp_path / "again.png").read_bytes() == picture.read_bytes()


def test_adapter_of_a_pipeline_is_refused(
    library: Library, run: Run, models: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    options = ("--model", "xl", "--adapter", tiny_model.adapter)
    result = run("generate", track, "-o", tmp_path / "a.png", *options, expect=1)
    assert "'xl' cannot use an adapter" in result.stderr
    assert "--adapter none" in result.stderr


def test_pipeline_cannot_be_trained(
    library: Library, run: Run, models: Path, tmp_path: Path
) -> None:
    run("dataset", "from-library", library.root / "Fully Covered", tmp_path / "pairs")
    result = run("finetune", tmp_path / "pairs", "--model", "xl", expect=2)
    assert "'xl' cannot be trained: adapters need a base like Stable Diffusion" in result.stderr


def test_quality_applies_to_the_steps_of_a_pipeline(
    library: Library, run: Run, models: Path, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    for options, expected in (
        (("--quality", "draft"), ("10", "5.0", "default")),
        (("--quality", "draft", "--steps", 2), ("2", "5.0", "default")),
        (("--quality", "reference", "--steps", 2), ("2", "7.5", "ddpm")),
    ):
        output = ("-o", tmp_path / "a.png", "--force")
        run("generate", "-q", "--model", "xl", track, *output, *options)
        written = provenance(tmp_path / "a.png")
        assert (written["steps"], written["guidance"], written["scheduler"]) == expected


def test_what_a_pipeline_refuses_is_an_error_of_the_model(
    library: Library, run: Run, models: Path, sdxl: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    base = copytree(sdxl, tmp_path / "base")
    LCMScheduler(original_inference_steps=4).save_pretrained(base / "scheduler")
    index = json.loads((base / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "LCMScheduler"]
    (base / "model_index.json").write_text(json.dumps(index))
    with models.open("a") as file:
        file.write(f'[few]\nbase = "{base}"\nclap = "{tiny_model.clap}"\n')
    track = library.every_container["flac"]
    options = ("--model", "few", "--steps", 9, "-o", tmp_path / "a.png")
    error = run("generate", track, *options, expect=1).stderr
    assert "The model 'few' cannot paint: StableDiffusionXLPipeline reports: " in error
    assert "--steps" in error


def test_a_negative_prompt_without_guidance_is_noted(
    library: Library, run: Run, models: Path, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    for model in ("tiny", "xl"):
        paint = ("generate", "-f", "-m", model, "--negative", "text", "--steps", 1, track)
        paint = (*paint, "-o", tmp_path / "a.png", "--guidance")
        assert run(*paint, 1).stderr.count("The negative prompt has no effect") == 1
        assert "no effect" not in run(*paint, 1.5).stderr


def test_another_base_in_place_of_a_pipeline_takes_an_adapter(
    library: Library, run: Run, models: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    with models.open("a") as file:
        file.write("pipeline = true\n")
    parts = ("--base", tiny_model.base, "--adapter", tiny_model.adapter, "--steps", 1)
    track = library.every_container["flac"]
    run("generate", "-q", "--model", "xl", *parts, track, "-o", tmp_path / "a.png")
    assert provenance(tmp_path / "a.png")["adapter"] != "none"


def test_pipelines_are_listed_with_what_they_need(run: Run, models: Path, sdxl: Path) -> None:
    listed = run("models", "list").stdout
    lines = [line.split() for line in listed.splitlines()]
    assert ["xl", "ready"] in [line[:2] for line in lines]
    assert "paints from words for the music" in listed
    assert "license: base: CreativeML OpenRAIL++-M" in listed
    assert "memory: about 9 GB on a GPU" in listed
    shown = run("models", "show", "xl").stdout
    assert str(sdxl) in shown
    assert "the base's own" in shown
    (model,) = [m for m in json_lines(run("models", "list", "--json")) if m["name"] == "sd15-lcm"]
    assert [lora["source"] for lora in model["loras"]] == ["latent-consistency/lcm-lora-sdv1-5"]
    assert model["parts"]["vae"]["source"] == "madebyollin/taesd"


def test_loras_and_vae_of_a_model_are_used_and_recorded(
    library: Library, run: Run, models: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    lora = make_tiny_lora(tmp_path / "lora.safetensors", tiny_model.base)
    vae = make_tiny_decoder(tmp_path / "vae")
    parts = (
        f'base = "{tiny_model.base}"\nclap = "{tiny_model.clap}"\n'
        f'adapter = "{tiny_model.adapter}"\nsteps = 4\nguidance = 1.5\nscheduler = "lcm"\n'
    )
    extra = f'loras = [{{ source = "{lora}", weight = 0.5 }}]\nvae = "{vae}"\n'
    with models.open("a") as file:
        file.write(f"[plain]\n{parts}\n[fast]\n{parts}{extra}")
    track = library.every_container["flac"]
    for name in ("plain", "fast"):
        run("generate", "-q", "--model", name, track, "-o", tmp_path / f"{name}.png")
    with Image.open(tmp_path / "plain.png") as plain, Image.open(tmp_path / "fast.png") as fast:
        assert difference(np.asarray(plain), np.asarray(fast)) > 10
    written = provenance(tmp_path / "fast.png")
    sha256 = hashlib.sha256(lora.read_bytes()).hexdigest()
    assert written["loras"] == f"{lora} × 0.5 (SHA-256 {sha256})"
    assert written["vae"] == str(vae)
    assert "other LoRAs" not in run("info", tmp_path / "fast.png").stdout
    make_tiny_lora(lora, tiny_model.base, seed=1)
    assert "other LoRAs" in run("info", tmp_path / "fast.png").stdout
    assert re.search(
        rf"{re.escape(str(lora))} \(\d+(\.\d+)? kB\), weight 0.5",
        run("models", "show", "fast").stdout,
    )


def test_precision_of_a_model_applies_unless_another_is_asked_for(
    library: Library, run: Run, models: Path, tmp_path: Path
) -> None:
    with models.open("a") as file:
        file.write('dtype = "bf16"\n')
    track = library.every_container["flac"]
    for expected, options in (("bf16", ()), ("fp32", ("--dtype", "fp32"))):
        out = tmp_path / f"{expected}.png"
        run("generate", "-q", "--model", "xl", "--steps", 1, track, "-o", out, *options)
        assert provenance(out)["dtype"] == expected


def test_settings_that_spoil_a_distilled_base_are_noted(
    library: Library, run: Run, models: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    base = copytree(tiny_model.base, tmp_path / "base")
    EulerDiscreteScheduler(
        beta_schedule="scaled_linear", timestep_spacing="trailing"
    ).save_pretrained(base / "scheduler")
    track = library.every_container["flac"]

    def paint(*options: object) -> Result:
        output = ("-o", tmp_path / "a.png", "--force")
        return run("generate", "--model", "tiny", "--base", base, track, *output, *options)

    result = paint("--steps", 12, "--guidance", 3)
    assert result.stderr.count("is a distilled base") == 1
    assert "12 steps with guidance 3" in result.stderr
    assert provenance(tmp_path / "a.png")["steps"] == "12"  # as asked for
    assert "distilled" not in paint("--steps", 2, "--guidance", 0).stderr
