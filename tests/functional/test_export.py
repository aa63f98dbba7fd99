"""`covergen models export`, and painting with the exported files in plain diffusers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.conftest import Run, TinyModel, json_lines
from tests.media import encode
from tests.plain_diffusion import difference
from tests.tiny_base import make_tiny_adapter

BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def plain_diffusers() -> str:
    """The lines of Python in the documentation that paint without covergen."""
    page = (Path(__file__).parents[2] / ".docs/commands.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert "covergen" not in lines
    assert BASE in lines
    return str(lines)


def test_plain_diffusers_paints_the_same_picture(
    tiny_model: TinyModel, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    adapter = tmp_path / "mine.safetensors"
    make_tiny_adapter(adapter, tiny_model.base, projection="tokens", tokens=4)
    encode(tmp_path / "song.wav", "wav", seconds=5, kind="melody")
    run("models", "export", "mine.safetensors", "-o", "exported")
    run("embed", "--model", "tiny", "song.wav", "-o", ".")
    paint = ("generate", "--model", "tiny", "--adapter", adapter, "song.wav", "-o", "ours.png")
    run(*paint, "--seed", 7, "--scheduler", "pndm", "--steps", 50, "--guidance", 7.5)
    lines = plain_diffusers().replace(BASE, str(tiny_model.base))
    exec(compile(lines, "commands.md", "exec"), {})
    with Image.open("cover.png") as plain, Image.open("ours.png") as ours:
        assert np.asarray(ours).std() > 10
        assert difference(np.asarray(ours), np.asarray(plain)) <= 1


def test_existing_files_are_replaced_only_with_force(
    tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (exported,) = json_lines(
        run("models", "export", "tiny", "--format", "peft", "-o", out, "--json")
    )
    names = ["adapter_model.safetensors", "adapter_config.json", "audio_projection.safetensors"]
    assert exported["files"] == [str(out / name) for name in names]
    assert json.loads((out / "adapter_config.json").read_text())["lora_alpha"] == 4
    (out / "adapter_config.json").write_text("mine")
    error = run("models", "export", tiny_model.adapter, "--format", "peft", "-o", out, expect=2)
    assert "--force" in error.stderr
    assert (out / "adapter_config.json").read_text() == "mine"
    run("models", "export", tiny_model.adapter, "--format", "peft", "-o", out, "--force")
    assert (out / "adapter_config.json").read_text() != "mine"


def test_missing_or_invalid_adapter_is_reported(
    tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    weights = tiny_model.clap / "model.safetensors"
    assert "found" in run("models", "export", weights, "-o", tmp_path / "out", expect=1).stderr
    missing = run("models", "export", "nowhere.safetensors", "-o", tmp_path / "out", expect=1)
    assert "does not exist" in missing.stderr
    bare = run("models", "export", "sd15", "-o", tmp_path / "out", expect=1)
    assert "'sd15' has no adapter" in bare.stderr
    assert not (tmp_path / "out").exists()
