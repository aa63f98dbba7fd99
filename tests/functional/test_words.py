"""Covers from words, without an adapter: with CLAP's text encoder, and with the starter's probe."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covergen.library.pictures_in_files import read_pictures
from tests.functional.conftest import Run, TinyModel, json_lines, provenance
from tests.media import Library

VOCABULARY = """
[mood]
templates = ["{} music", "this sounds {}"]
take = 2
[mood.terms]
calm = ["a lake", "a field"]
wild = ["a storm", "a fire"]
odd = ["a knot", "a maze"]
[medium]
templates = ["{}"]
medium = true
[medium.terms]
jazz = ["ink"]
folk = ["clay"]
"""


@pytest.fixture
def vocabulary(home: Path) -> Path:
    file = home / "config/covergen/vocabulary.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(VOCABULARY)
    return file


@pytest.fixture
def wordy(run: Run, home: Path, tiny_model: TinyModel, vocabulary: Path) -> Run:
    """`run` with a model "wordy" that has no adapter, and the short vocabulary."""
    models = home / "config/covergen/models.toml"
    models.write_text(
        models.read_text()
        + f'[wordy]\nbase = "{tiny_model.base}"\nclap = "{tiny_model.clap}"\nsteps = 2\n'
    )
    return run


def cover(path: Path) -> tuple[bytes, dict[str, str]]:
    (picture,) = read_pictures(path, "mp3")
    return picture.data, provenance(picture.data)


def words_of(prompt: str) -> set[str]:
    return set(prompt.split(", "))


def test_model_without_an_adapter_paints_from_words_and_says_which(
    library: Library, wordy: Run
) -> None:
    folder = library.root / "Two Discs"
    track = folder / "CD2/02 Down.mp3"
    wordy("tag", "--model", "wordy", "--negative", "letters", folder)
    data, texts = cover(track)
    assert texts["adapter"] == "none"
    assert texts["negative"] == "letters"
    assert len(words_of(texts["prompt"])) == 3
    assert words_of(texts["prompt"]) & {"ink", "clay"}

    (value,) = json_lines(wordy("info", "--json", track))
    command = value["command"]
    assert command[command.index("--adapter") + 1] == "none"
    assert command[command.index("--negative") + 1] == "letters"
    assert value["provisos"] == []
    assert texts["prompt"] in wordy("info", track).output
    wordy("strip", folder)
    wordy(*command[1:])
    assert cover(track)[0] == data


def test_words_do_not_depend_on_other_albums(library: Library, wordy: Run) -> None:
    folder = library.root / "Two Discs"
    track = folder / "CD2/02 Down.mp3"
    wordy("tag", "--model", "wordy", folder)
    alone = cover(track)[0]
    wordy("tag", "--model", "wordy", "--force", "--batch-size", 1, folder, library.root / "Sampler")
    assert cover(track)[0] == alone


def test_style_comes_before_the_words_and_replaces_the_medium(library: Library, wordy: Run) -> None:
    folder = library.root / "Two Discs"
    wordy("tag", "--model", "tiny", "--adapter", "none", "--style", "woodcut, red", folder)
    track = folder / "CD2/02 Down.mp3"
    texts = cover(track)[1]
    assert texts["style"] == "woodcut, red"
    command = json_lines(wordy("info", "--json", track))[0]["command"]
    assert command[command.index("--style") + 1] == "woodcut, red"
    assert texts["prompt"].startswith("woodcut, red, a ")
    assert not words_of(texts["prompt"]) & {"ink", "clay"}


def test_info_names_the_words_once_the_music_is_embedded(
    library: Library, wordy: Run, home: Path
) -> None:
    (home / "config/covergen/config.toml").write_text('[tag]\nmodel = "wordy"\n')
    folder = library.root / "Two Discs"
    assert json_lines(wordy("info", "--json", folder))[0]["words"] is None
    assert "\n  words " not in wordy("info", folder).output
    wordy("tag", folder)
    (album,) = json_lines(wordy("info", "--json", folder))
    assert list(album["words"]) == ["mood", "medium"]
    assert set(album["words"]["mood"]) < {"calm", "wild", "odd"}
    pictures = {"calm": "a lake, a field", "wild": "a storm, a fire", "odd": "a knot, a maze"}
    prompt = words_of(cover(folder / "CD2/02 Down.mp3")[1]["prompt"])
    for word in album["words"]["mood"]:
        assert words_of(pictures[word]) & prompt
    text = ", ".join([*album["words"]["mood"], *album["words"]["medium"]])
    assert f"words        {text}" in wordy("info", folder).output


def test_words_of_the_default_model_are_known_too(library: Library, run: Run) -> None:
    folder = library.root / "Two Discs"
    run("tag", "--steps", 1, folder)
    (album,) = json_lines(run("info", "--json", folder))
    assert list(album["words"]) == ["form", "energy", "mood"]


def test_changed_vocabulary_is_a_proviso_of_the_command(
    library: Library, wordy: Run, vocabulary: Path
) -> None:
    folder = library.root / "Two Discs"
    track = folder / "CD2/02 Down.mp3"
    wordy("tag", "--model", "wordy", folder)
    vocabulary.write_text(VOCABULARY.replace('"ink"', '"oil"').replace('"clay"', '"oil"'))
    (value,) = json_lines(wordy("info", "--json", track))
    assert "vocabulary has changed" in value["provisos"][0]


def test_mistake_in_the_vocabulary_stops_a_run_before_it_begins(
    library: Library, wordy: Run, vocabulary: Path
) -> None:
    vocabulary.write_text(VOCABULARY.replace("take = 2", "take = 'two'"))
    error = wordy("tag", "--model", "wordy", library.root / "Two Discs", expect=2).stderr
    assert str(vocabulary) in error
    assert "mood.take: expected a whole number of at least 1, not 'two'" in error


def test_starter_paints_from_the_words_of_its_probe(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["mp3"]
    pictures = {}
    for style in ("", "ink brush"):
        out = tmp_path / f"style {style}.png"
        options = ("--adapter", "none", "--steps", 2, "--style", style)
        run("generate", track, "-o", out, "--model", "starter", *options)
        pictures[style] = np.asarray(Image.open(out))
        assert provenance(out)["prompt"].startswith(f"{style}, ") is bool(style)
    assert np.abs(pictures[""].astype(int) - pictures["ink brush"]).mean() > 1


def test_models_that_draw_by_rules_have_no_words_to_leave_out(library: Library, run: Run) -> None:
    track = library.every_container["mp3"]
    for option in (("--adapter", "none"), ("--negative", "x")):
        error = run("tag", "--model", "poster", *option, track, expect=2).stderr
        assert f"{option[0]}" in error
        assert "draws by rules" in error


def test_dry_run_ends_like_the_run_with_a_mistake_in_the_vocabulary_after_its_totals(
    library: Library, wordy: Run, vocabulary: Path
) -> None:
    vocabulary.write_text("[mood]\n")
    command = ("tag", "--model", "wordy", library.root / "Two Discs")
    error = f"Error: {vocabulary}:\n  mood.templates: missing"
    assert error in wordy(*command, expect=2).stderr
    result = wordy(*command, "--dry-run", expect=2)
    assert "4 files  no cover yet" in result.stdout
    assert result.stderr.startswith(error)
    *_, summary, last = json_lines(wordy(*command, "--dry-run", "--json", expect=2))
    assert summary["type"] == "summary"
    assert (last["type"], last["exit_code"]) == ("error", 2)
    assert "no cover yet" in wordy(*command, "--dry-run", "--quiet", expect=2).stdout
