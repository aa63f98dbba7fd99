"""Finding the parts of a model on this machine, without the network."""

import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

from covergen.core.errors import ModelMissingError
from covergen.core.paths import config_folder
from covergen.models import sources
from covergen.models.files import KINDS, Kind
from covergen.models.inventory import parts_of
from covergen.models.locate import locate, pull
from covergen.models.presets import load_presets
from tests.unit.models.layouts import BASE, BASE_READ, CLAP, CLAP_READ, cache, fill

# transformers 5 saves no map of special tokens, and a base saved part by part has no index.
NOT_IN_EVERY_BASE = {"model_index.json", "tokenizer/special_tokens_map.json"}
OLD_BASE = "runwayml/stable-diffusion-v1-5"


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    return folder


def missing(source: str, kind: Kind, *, model: str = "") -> str:
    with pytest.raises(ModelMissingError) as caught:
        locate(source, kind, model=model)
    return str(caught.value)


def test_a_base_in_the_hub_cache_is_found(hub_cache: Path) -> None:
    snapshot = cache(hub_cache, BASE, BASE_READ)
    assert locate(BASE, "base") == snapshot


@pytest.mark.parametrize("lacking", sorted(BASE_READ - NOT_IN_EVERY_BASE))
def test_half_a_download_is_missing(hub_cache: Path, lacking: str) -> None:
    cache(hub_cache, BASE, BASE_READ - {lacking})
    text = missing(BASE, "base", model="sd15")
    assert "only partly" in text
    assert lacking in text


def test_a_link_to_a_file_that_was_pruned_is_missing(hub_cache: Path) -> None:
    snapshot = cache(hub_cache, CLAP, CLAP_READ)
    (snapshot / "pytorch_model.bin").unlink()
    (snapshot / "pytorch_model.bin").symlink_to("../../blobs/gone")
    assert "pytorch_model.bin" in missing(CLAP, "clap")


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.safetensors"])
def test_clap_comes_in_either_format(hub_cache: Path, weights: str) -> None:
    snapshot = cache(hub_cache, CLAP, {"config.json", weights})
    assert locate(CLAP, "clap") == snapshot


def test_a_tokenizer_in_the_form_of_transformers_5_suffices(tmp_path: Path) -> None:
    old_form = {name for name in BASE_READ if name.startswith("tokenizer/")}
    new_form = {"tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"}
    folder = fill(tmp_path / "base", BASE_READ - old_form | new_form)
    assert locate(str(folder), "base") == folder


@pytest.mark.parametrize("cached_as", [OLD_BASE, BASE])
@pytest.mark.parametrize("named", [OLD_BASE, BASE])
def test_the_old_name_and_the_new_are_one(hub_cache: Path, named: str, cached_as: str) -> None:
    snapshot = cache(hub_cache, cached_as, BASE_READ)
    assert locate(named, "base") == snapshot


def test_the_old_name_is_fetched_from_the_new() -> None:
    text = missing(OLD_BASE, "base")
    assert f"https://huggingface.co/{BASE} " in text
    assert "runwayml" not in text


def test_a_revision_is_one_of_its_own(hub_cache: Path) -> None:
    snapshot = cache(hub_cache, "some/clap", CLAP_READ, revision="v2")
    assert locate("some/clap@v2", "clap") == snapshot
    assert "some/clap is not on this machine" in missing("some/clap", "clap")


def test_what_is_missing_is_told_with_where_from_and_what_else() -> None:
    text = missing(CLAP, "clap", model="sd15")
    assert (
        f"The clap {CLAP} is not on this machine, neither as a path nor in the Hub's cache." in text
    )
    assert f"https://huggingface.co/{CLAP}" in text
    assert "`covergen models pull sd15`" in text
    assert "--clap PATH" in text
    assert str(config_folder() / "models.toml") in text


def test_a_folder_that_exists_wins_over_a_name_on_the_hub(
    hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache(hub_cache, "some/clap", CLAP_READ)
    fill(tmp_path / "some/clap", CLAP_READ)
    monkeypatch.chdir(tmp_path)
    assert locate("some/clap", "clap").resolve() == tmp_path / "some/clap"


def test_a_folder_below_home_is_found(home: Path) -> None:
    folder = fill(home / "models/clap", CLAP_READ)
    assert locate("~/models/clap", "clap") == folder


def test_a_local_folder_that_lacks_files_is_told_with_what_it_lacks(tmp_path: Path) -> None:
    folder = fill(tmp_path / "base", BASE_READ - {"vae/config.json", "unet/config.json"})
    text = missing(str(folder), "base")
    assert f"{folder} lacks unet/config.json, vae/config.json." in text
    assert "diffusers" in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_where_nothing_is_is_told(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a" / "b.safetensors"
    assert f"The {kind} {path} does not exist." in missing(str(path), kind)


def test_a_path_beyond_what_the_system_allows_is_told() -> None:
    assert "cannot be read (File name too long)" in missing("/" + "x" * 5000, "base")


def test_a_name_that_the_hub_does_not_allow_is_not_there() -> None:
    assert "is not on this machine" in missing("some/double--dash", "clap")


def test_a_checkpoint_file_is_no_base(tmp_path: Path) -> None:
    file = tmp_path / "v1-5-pruned.safetensors"
    file.write_bytes(b"x")
    assert "is a file, not a folder" in missing(str(file), "base")


def test_an_adapter_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"x")
    assert locate(str(file), "adapter") == file


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ({"README.md", "style.safetensors"}, "style.safetensors"),
        ({"a.safetensors", "adapter.safetensors"}, "adapter.safetensors"),
        ({"checkpoints/step-1.safetensors", "style.safetensors"}, "style.safetensors"),
    ],
)
def test_an_adapter_in_a_folder_or_repository_is_found(
    hub_cache: Path, tmp_path: Path, names: set[str], chosen: str
) -> None:
    folder = fill(tmp_path / "trained", names)
    snapshot = cache(hub_cache, "me/style", names)
    assert locate(str(folder), "adapter") == folder / chosen
    assert locate("me/style", "adapter") == snapshot / chosen


def test_which_of_several_adapters_is_not_guessed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "out", {"epoch10.safetensors", "epoch20.safetensors"})
    text = missing(str(folder), "adapter")
    assert "epoch10.safetensors, epoch20.safetensors" in text


def test_the_starter_says_that_its_weights_are_not_in_this_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_PACKAGE_FOLDER", tmp_path)
    text = missing("package:starter/weights/base", "base", model="starter")
    assert "no starter weights" in text
    assert "sd15" in text
    assert "models.toml" in text


def test_the_starters_weights_are_found_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_PACKAGE_FOLDER", tmp_path)
    folder = fill(tmp_path / "starter/weights/clap", CLAP_READ)
    assert locate("package:starter/weights/clap", "clap") == folder


def test_pulling_what_is_here_needs_no_network(hub_cache: Path) -> None:
    snapshot = cache(hub_cache, CLAP, CLAP_READ)
    assert pull(CLAP, "clap") == snapshot


def test_pulling_a_local_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="does not exist"):
        pull(str(tmp_path / "nothing"), "base")


def test_the_inventory_tells_where_each_part_is_and_how_large(hub_cache: Path) -> None:
    sd15 = load_presets()["sd15"]
    clap_folder = cache(hub_cache, CLAP, CLAP_READ | {"README.md"})
    base, clap = parts_of(sd15)
    assert (base.kind, base.source, base.path, base.size_bytes) == ("base", BASE, None, 0)
    assert "models pull sd15" in str(base.missing)
    assert (clap.kind, clap.source, clap.path, clap.missing) == ("clap", CLAP, clap_folder, None)
    assert clap.size_bytes == sum(len(f"the file {name}") for name in CLAP_READ)
    cache(hub_cache, BASE, BASE_READ)
    assert all(part.path is not None for part in parts_of(sd15))


def test_the_inventory_counts_an_adapter_too(tmp_path: Path) -> None:
    fill(tmp_path / "base", BASE_READ)
    fill(tmp_path / "clap", CLAP_READ)
    (tmp_path / "models.toml").write_text(
        '[mine]\nbase = "./base"\nclap = "./clap"\nadapter = "my.safetensors"\n'
    )
    mine = load_presets(tmp_path / "models.toml")["mine"]
    assert [part.path is None for part in parts_of(mine)] == [False, False, True]
    (tmp_path / "my.safetensors").write_bytes(b"12345")
    assert parts_of(mine)[2].size_bytes == 5


def test_models_are_read_and_local_ones_found_without_heavy_imports(tmp_path: Path) -> None:
    fill(tmp_path / "clap", CLAP_READ)
    script = (
        "import sys\n"
        "from covergen.models import inventory, locate, presets\n"
        "presets.load_presets()\n"
        f"locate.locate({str(tmp_path / 'clap')!r}, 'clap')\n"
        "print({'torch', 'huggingface_hub', 'tqdm'} & {m.split('.')[0] for m in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
