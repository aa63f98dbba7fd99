"""Finding the parts of a model on this machine, without the network."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from covergen.core.app_folders import config_folder
from covergen.core.errors import ModelMissingError
from covergen.models import sources
from covergen.models.inventory import parts_of
from covergen.models.locate import locate, pull
from covergen.models.part_files import KINDS, Kind
from covergen.models.presets import load_presets
from tests.unit.models.layouts import BASE, BASE_READ, CLAP, CLAP_READ, cache, fill

# transformers 5 writes no special tokens map, and a base saved part by part has no index.
OPTIONAL = {"model_index.json", "tokenizer/special_tokens_map.json"}
OLD_BASE = "runwayml/stable-diffusion-v1-5"


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    return folder


def missing(source: str, kind: Kind, *, model: str = "") -> str:
    """The error for a part that cannot be found."""
    with pytest.raises(ModelMissingError) as caught:
        locate(source, kind, model=model)
    return str(caught.value)


def test_every_required_file_must_be_in_the_hub_cache(hub_cache: Path) -> None:
    snapshot = cache(hub_cache, BASE, BASE_READ)
    assert locate(BASE, "base") == snapshot
    for name in sorted(BASE_READ):
        (snapshot / name).rename(hub_cache / "moved")
        if name in OPTIONAL:
            assert locate(BASE, "base") == snapshot
        else:
            text = missing(BASE, "base", model="sd15")
            assert "is incomplete" in text
            assert name in text
        (hub_cache / "moved").rename(snapshot / name)


def test_dangling_link_counts_as_missing(hub_cache: Path) -> None:
    snapshot = cache(hub_cache, CLAP, CLAP_READ)
    (snapshot / "pytorch_model.bin").unlink()
    (snapshot / "pytorch_model.bin").symlink_to("../../blobs/gone")
    assert "pytorch_model.bin" in missing(CLAP, "clap")


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.safetensors"])
def test_clap_is_found_in_either_format(hub_cache: Path, weights: str) -> None:
    snapshot = cache(hub_cache, CLAP, {"config.json", weights})
    assert locate(CLAP, "clap") == snapshot


def test_tokenizer_of_transformers_5_is_accepted(tmp_path: Path) -> None:
    old_form = {name for name in BASE_READ if name.startswith("tokenizer/")}
    new_form = {"tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"}
    folder = fill(tmp_path / "base", BASE_READ - old_form | new_form)
    assert locate(str(folder), "base") == folder


@pytest.mark.parametrize("cached_as", [OLD_BASE, BASE])
def test_renamed_repository_is_found_by_both_names(hub_cache: Path, cached_as: str) -> None:
    snapshot = cache(hub_cache, cached_as, BASE_READ)
    assert locate(OLD_BASE, "base") == locate(BASE, "base") == snapshot


def test_revisions_are_distinct(hub_cache: Path) -> None:
    snapshot = cache(hub_cache, "some/clap", CLAP_READ, revision="v2")
    assert locate("some/clap@v2", "clap") == snapshot
    assert "some/clap was not found" in missing("some/clap", "clap")


def test_error_says_where_to_download_a_missing_part() -> None:
    text = missing(CLAP, "clap", model="sd15")
    expected = f"The clap {CLAP} was not found, neither as a local path nor in the Hub cache."
    assert expected in text
    assert f"https://huggingface.co/{CLAP}" in text
    assert "`covergen models pull sd15`" in text
    assert "--clap PATH" in text
    assert str(config_folder() / "models.toml") in text
    text = missing(OLD_BASE, "base")
    assert f"https://huggingface.co/{BASE} " in text
    assert "runwayml" not in text
    assert "was not found" in missing("some/double--dash", "clap")


def test_existing_folder_takes_precedence_over_a_hub_name(
    hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache(hub_cache, "some/clap", CLAP_READ)
    fill(tmp_path / "some/clap", CLAP_READ)
    monkeypatch.chdir(tmp_path)
    assert locate("some/clap", "clap").resolve() == tmp_path / "some/clap"


def test_incomplete_local_folder_is_reported(tmp_path: Path) -> None:
    folder = fill(tmp_path / "base", BASE_READ - {"vae/config.json", "unet/config.json"})
    text = missing(str(folder), "base")
    assert f"{folder} lacks unet/config.json, vae/config.json." in text
    assert "diffusers" in text


def test_unusable_path_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.safetensors"
    for kind in KINDS:
        assert f"The {kind} {path} does not exist." in missing(str(path), kind)
    assert "cannot be read (File name too long)" in missing("/" + "x" * 5000, "base")
    checkpoint = tmp_path / "v1-5-pruned.safetensors"
    checkpoint.write_bytes(b"x")
    assert "is a file, not a folder" in missing(str(checkpoint), "base")
    assert locate(str(checkpoint), "adapter") == checkpoint
    assert locate(str(checkpoint), "lora") == checkpoint
    pickled = checkpoint.rename(tmp_path / "lora.bin")
    assert "is not a .safetensors file" in missing(str(pickled), "lora")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ({"README.md", "style.safetensors"}, "style.safetensors"),
        ({"a.safetensors", "adapter.safetensors"}, "adapter.safetensors"),
        ({"checkpoints/step-1.safetensors", "style.safetensors"}, "style.safetensors"),
    ],
)
def test_adapter_is_found_in_a_folder_or_repository(
    hub_cache: Path, tmp_path: Path, names: set[str], chosen: str
) -> None:
    folder = fill(tmp_path / "trained", names)
    snapshot = cache(hub_cache, "me/style", names)
    assert locate(str(folder), "adapter") == folder / chosen
    assert locate("me/style", "adapter") == snapshot / chosen


def test_several_adapters_are_ambiguous(tmp_path: Path) -> None:
    folder = fill(tmp_path / "out", {"epoch10.safetensors", "epoch20.safetensors"})
    text = missing(str(folder), "adapter")
    assert "epoch10.safetensors, epoch20.safetensors" in text


def test_starter_weights_are_found_in_the_package_if_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_PACKAGE_FOLDER", tmp_path)
    text = missing("package:starter/weights/base", "base", model="starter")
    assert "does not include the starter weights" in text
    assert "sd15" in text
    assert "models.toml" in text
    folder = fill(tmp_path / "starter/weights/clap", CLAP_READ)
    assert locate("package:starter/weights/clap", "clap") == folder


def test_pull_of_local_parts_needs_no_network(hub_cache: Path, tmp_path: Path) -> None:
    snapshot = cache(hub_cache, CLAP, CLAP_READ)
    assert pull(CLAP, "clap") == snapshot
    with pytest.raises(ModelMissingError, match="does not exist"):
        pull(str(tmp_path / "nothing"), "base")


def test_inventory_has_the_path_and_size_of_each_part(hub_cache: Path) -> None:
    sd15 = load_presets()["sd15"]
    clap_folder = cache(hub_cache, CLAP, CLAP_READ | {"README.md"})
    base, clap = parts_of(sd15)
    assert (base.kind, base.source, base.path, base.size_bytes) == ("base", BASE, None, 0)
    assert "models pull sd15" in str(base.missing)
    assert (clap.kind, clap.source, clap.path, clap.missing) == ("clap", CLAP, clap_folder, None)
    assert clap.size_bytes == sum(len(f"the file {name}") for name in CLAP_READ)
    cache(hub_cache, BASE, BASE_READ)
    assert all(part.path is not None for part in parts_of(sd15))


def test_inventory_includes_the_adapter(tmp_path: Path) -> None:
    fill(tmp_path / "base", BASE_READ)
    fill(tmp_path / "clap", CLAP_READ)
    (tmp_path / "models.toml").write_text(
        '[mine]\nbase = "./base"\nclap = "./clap"\nadapter = "my.safetensors"\n'
    )
    mine = load_presets(tmp_path / "models.toml")["mine"]
    assert [part.path is None for part in parts_of(mine)] == [False, False, True]
    (tmp_path / "my.safetensors").write_bytes(b"12345")
    assert parts_of(mine)[2].size_bytes == 5
