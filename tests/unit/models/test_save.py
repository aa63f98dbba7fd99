"""Models saved into the user's models.toml: read back as they were, all else untouched."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.errors import SettingsError, UsageError
from covergen.core.types import Sampling
from covergen.models.presets import Preset, load_presets
from covergen.models.save import check_new_name, save_preset

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
    licence="CC0",
    size="",
    defined_in=Path("nowhere"),
)
OTHERS = """\
# Mine, kept by hand
[first]   # the first
base = "a/b"  # which base
clap = 'c/d'

# The second ends without an end of line.
[second]
clap="c/d"
base="a/b" # the end"""


@pytest.fixture
def file(home: Path) -> Path:
    return home / "config/covergen/models.toml"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())


def test_it_is_read_back_as_it_was(file: Path) -> None:
    assert save_preset(MINE) == file
    assert load_presets()["mine"] == replace(MINE, defined_in=file)
    assert [path.name for path in file.parent.iterdir()] == ["models.toml"]


@pytest.mark.parametrize("name", ["my.model", "ŝtato", "1"])
def test_names_of_every_form(name: str, file: Path) -> None:
    save_preset(replace(MINE, name=name))
    assert load_presets()[name] == replace(MINE, name=name, defined_in=file)


@pytest.mark.parametrize("text", [OTHERS, OTHERS.replace("\n", "\r\n"), "\ufeff" + OTHERS])
def test_what_stands_there_stays_with_its_comments(text: str, file: Path) -> None:
    write(file, text)
    before = load_presets()
    save_preset(MINE)
    assert file.read_bytes().decode().startswith(text.removeprefix("\ufeff"))
    assert load_presets() == before | {"mine": replace(MINE, defined_in=file)}


def test_one_of_the_same_name_is_replaced_where_it_stands(file: Path) -> None:
    write(file, OTHERS)
    save_preset(replace(MINE, name="first"))
    presets = load_presets()
    assert presets["first"] == replace(MINE, name="first", defined_in=file)
    text = file.read_text()
    assert list(tomllib.loads(text)) == ["first", "second"]
    for comment in ("# Mine, kept by hand", "# the first", "# which base", "# The second"):
        assert comment in text
    save_preset(replace(MINE, name="first", licence=""))
    assert load_presets()["first"].licence == ""


def test_a_file_with_mistakes_is_told_and_not_edited(file: Path) -> None:
    text = "[first]\nbase = 3\n"
    write(file, text)
    for act in (lambda: save_preset(MINE), lambda: check_new_name("mine", ADAPTER, force=False)):
        with pytest.raises(SettingsError, match=r"first\.base"):
            act()
    assert file.read_text() == text


def test_a_linked_file_is_written_where_it_lies(file: Path, tmp_path: Path) -> None:
    write(tmp_path / "dotfiles.toml", OTHERS)
    file.parent.mkdir(parents=True)
    file.symlink_to(tmp_path / "dotfiles.toml")
    save_preset(MINE)
    assert file.is_symlink()
    assert "[mine]" in (tmp_path / "dotfiles.toml").read_text()


def test_a_folder_that_cannot_be(file: Path) -> None:
    file.parent.parent.mkdir(parents=True)
    file.parent.write_text("a file")
    with pytest.raises(SettingsError, match="cannot be"):
        save_preset(MINE)


def test_a_path_that_toml_cannot_hold(file: Path) -> None:
    with pytest.raises(SettingsError, match="no UTF-8"):
        save_preset(replace(MINE, adapter="/music/\udcff/adapter.safetensors"))
    assert not file.exists()


def test_names_are_checked_beforehand() -> None:
    check_new_name("mine", ADAPTER, force=False)
    check_new_name("starter", ADAPTER, force=True)
    with pytest.raises(UsageError, match=r"already(.|\n)*--force"):
        check_new_name("starter", ADAPTER, force=False)
    for name in ("", "my model", "-x", "a/b"):
        with pytest.raises(UsageError, match="letters"):
            check_new_name(name, ADAPTER, force=True)


def test_a_model_of_covergens_own_is_told_from_ones_own(file: Path) -> None:
    write(file, OTHERS)
    with pytest.raises(UsageError, match=r"covergen's own(.|\n)*--force"):
        check_new_name("starter", ADAPTER, force=False)
    with pytest.raises(UsageError, match=r"models\.toml(.|\n)*--force") as caught:
        check_new_name("first", ADAPTER, force=False)
    assert "own" not in caught.value.message


def test_a_folder_that_cannot_be_is_told_beforehand(file: Path) -> None:
    file.parent.parent.mkdir(parents=True)
    file.parent.write_text("a file")
    with pytest.raises(SettingsError, match="cannot be"):
        check_new_name("mine", ADAPTER, force=False)


def test_a_model_may_be_saved_again_with_the_adapter_that_it_has() -> None:
    save_preset(replace(MINE, adapter=str(ADAPTER)))
    check_new_name("mine", ADAPTER, force=False)
    with pytest.raises(UsageError, match="already"):
        check_new_name("mine", ADAPTER.with_name("other.safetensors"), force=False)
