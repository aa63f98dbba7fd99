"""Models saved to the user's models.toml; the rest of the file is kept."""

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from covergen.core.cover import Sampling
from covergen.core.errors import SettingsError, UsageError
from covergen.models.presets import Lora, Preset, load_presets
from covergen.models.save_preset import check_new_name, save_preset

ADAPTER = Path("/home/me/mine-adapter/adapter.safetensors")
MINE = Preset(
    name="mine",
    description='Trained on "Muŝiko"\nby me',
    base="package:starter/weights/base",
    clap="laion/larger_clap_music_and_speech",
    adapter="/home/me/C:\\odd 'name'/adapter.safetensors",
    sampling=Sampling(steps=12, guidance=2.5, scheduler="ddim"),
    windows=5,
    padding="silence",
    styles=("cut paper", 'a "quoted" style'),
    license="CC0",
    memory="3 GB",
    size="",
    defined_in=Path("nowhere"),
    loras=(Lora(source="me/lora", weight=0.5), Lora(source="/srv/style.safetensors")),
    vae="madebyollin/taesd",
    variant="fp16",
    dtype="bf16",
    given=tuple(field.name for field in fields(Sampling)),
)
OTHERS = """\
# Mine, kept by hand
[first]   # the first
base = "a/b"  # which base
clap = 'c/d'

# The second has no final newline.
[second]
clap="c/d"
base="a/b" # the end"""


@pytest.fixture
def file(home: Path) -> Path:
    file = home / "config/covergen/models.toml"
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.parametrize("name", ["mine", "my.model", "ŝtato", "1"])
def test_saved_model_is_loaded_again(name: str, file: Path) -> None:
    file.parent.rmdir()
    assert save_preset(replace(MINE, name=name)) == file
    assert load_presets()[name] == replace(MINE, name=name, defined_in=file)
    assert [path.name for path in file.parent.iterdir()] == ["models.toml"]


@pytest.mark.parametrize("text", [OTHERS, OTHERS.replace("\n", "\r\n"), "\ufeff" + OTHERS])
def test_other_models_and_comments_are_kept(text: str, file: Path) -> None:
    file.write_bytes(text.encode())
    before = load_presets()
    save_preset(MINE)
    assert file.read_bytes().decode().startswith(text.removeprefix("\ufeff"))
    assert load_presets() == before | {"mine": replace(MINE, defined_in=file)}


def test_model_of_the_same_name_is_replaced_in_place(file: Path) -> None:
    file.write_text(OTHERS)
    save_preset(replace(MINE, name="first"))
    assert load_presets()["first"] == replace(MINE, name="first", defined_in=file)
    text = file.read_text()
    assert list(tomllib.loads(text)) == ["first", "second"]
    for comment in ("# Mine, kept by hand", "# the first", "# which base", "# The second"):
        assert comment in text
    save_preset(replace(MINE, name="first", license=""))
    assert load_presets()["first"].license == ""


def test_invalid_file_is_reported_and_not_edited(file: Path) -> None:
    text = "[first]\nbase = 3\n"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"first\.base"):
        save_preset(MINE)
    with pytest.raises(SettingsError, match=r"first\.base"):
        check_new_name("mine", ADAPTER, force=False)
    assert file.read_text() == text


def test_symbolic_link_is_followed(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text(OTHERS)
    file.symlink_to(target)
    save_preset(MINE)
    assert file.is_symlink()
    assert "[mine]" in target.read_text()


def test_impossible_folder_is_reported_before_and_while_saving(file: Path) -> None:
    file.parent.rmdir()
    file.parent.write_text("a file")
    with pytest.raises(SettingsError, match="cannot be"):
        check_new_name("mine", ADAPTER, force=False)
    with pytest.raises(SettingsError, match="cannot be"):
        save_preset(MINE)


def test_path_that_is_not_utf8_is_rejected(file: Path) -> None:
    with pytest.raises(SettingsError, match="not valid UTF-8"):
        save_preset(replace(MINE, adapter="/music/\udcff/adapter.safetensors"))
    assert not file.exists()


def test_invalid_and_existing_names_are_rejected(file: Path) -> None:
    file.write_text(OTHERS)
    check_new_name("mine", ADAPTER, force=False)
    check_new_name("starter", ADAPTER, force=True)
    with pytest.raises(UsageError, match=r"comes with covergen(.|\n)*--force"):
        check_new_name("starter", ADAPTER, force=False)
    with pytest.raises(UsageError, match=r"exists in .*models\.toml(.|\n)*--force"):
        check_new_name("first", ADAPTER, force=False)
    for name in ("", "my model", "-x", "a/b"):
        with pytest.raises(UsageError, match="letters"):
            check_new_name(name, ADAPTER, force=True)


def test_model_can_be_saved_again_with_its_own_adapter() -> None:
    save_preset(replace(MINE, adapter=str(ADAPTER)))
    check_new_name("mine", ADAPTER, force=False)
    with pytest.raises(UsageError, match="already exists"):
        check_new_name("mine", ADAPTER.with_name("other.safetensors"), force=False)
