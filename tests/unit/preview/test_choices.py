"""choices.json may come from the page, from an editor, or from anywhere else."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.errors import SettingsError, UsageError
from covergen.preview.choices import Choices, read_choices

_SEEDS = {"a": (10, 11, 2**63 - 1), "b": (20,), "c": (30, 31), "skipped": ()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "choices.json"


def read(file: Path) -> Choices:
    return read_choices(file, preview="p1", seeds=_SEEDS)


def problems(file: Path, content: object) -> list[str]:
    """The mistakes that are found in such a file."""
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SettingsError) as caught:
        read(file)
    assert caught.value.path == file
    return list(caught.value.problems)


def test_what_was_decided_is_read(file: Path) -> None:
    albums = {"a": {"choice": 3}, "b": {"reject": True}, "c": {"retry": True}}
    file.write_text(json.dumps({"format": 1, "preview": "p1", "albums": albums}))
    expected = Choices(chosen={"a": 3}, rejected=frozenset({"b"}), retried=frozenset({"c"}))
    assert replace(read(file), name="") == expected


def test_what_was_decided_on_covers_that_are_gone_is_outdated(file: Path) -> None:
    current = {
        "a": {"choice": 3, "seed": str(2**63 - 1)},
        "b": {"reject": True, "seed": "20"},
        "c": {"retry": True, "seed": "30"},
    }
    file.write_text(json.dumps({"format": 1, "albums": current}))
    assert read(file).outdated == frozenset()
    earlier = {
        "a": {"choice": 9, "seed": "10"},
        "b": {"reject": True, "seed": "21"},
        "c": {"retry": True, "seed": "31"},
        "skipped": {"choice": 1, "seed": "1"},
    }
    file.write_text(json.dumps({"format": 1, "albums": earlier}))
    assert read(file).outdated == earlier.keys()


def test_a_file_that_is_saved_again_has_another_name(file: Path) -> None:
    names = set()
    for second in (1, 2):
        file.write_text('{"format": 1, "albums": {}}')
        os.utime(file, (second, second))
        names.add(read(file).name)
    assert len(names) == 2


def test_by_hand_it_may_be_short_and_begin_with_a_mark(file: Path) -> None:
    file.write_text('\ufeff{"format": 1, "albums": {"skipped": {"reject": true}}}\r\n', "utf-8")
    assert read(file).rejected == {"skipped"}


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    found = problems(
        file,
        {
            "format": 2,
            "preview": "p2",
            "album": {},
            "albums": {
                "a": {"choice": 4},
                "b": {"choice": 0},
                "c": {"choice": True},
                "skipped": {"choice": 1},
                "x": {"reject": True},
            },
        },
    )
    assert found == [
        "format: expected 1, not 2",
        "preview: 'p2' is another preview; this is 'p1'",
        "'album': unknown key; the keys are format, preview and albums",
        "albums: 'a': choice: expected a whole number from 1 to 3, not 4",
        "albums: 'b': choice: expected a whole number from 1 to 1, not 0",
        "albums: 'c': choice: expected a whole number from 1 to 2, not true",
        "albums: 'skipped': it was not painted, so there is nothing to choose or paint again",
        "albums: 'x': no such album in the preview",
    ]


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        1,
        "reject",
        {"reject": False},
        {"reject": 1},
        {"retry": "true"},
        {"Choice": 1},
        {"choice": 1, "reject": True},
        {"choice": 1, "seed": 10},
        {"seed": "10"},
        {"reject": True, "retry": True},
    ],
)
def test_an_album_says_one_of_three_things(file: Path, said: object) -> None:
    [problem] = problems(file, {"format": 1, "albums": {"a": said}})
    assert problem.startswith("albums: 'a': expected {")


@pytest.mark.parametrize("number", [1.0, 1.5, -1, 10**30, "1", None, [1], float("nan")])
def test_a_choice_is_the_number_of_a_candidate(file: Path, number: object) -> None:
    [problem] = problems(file, {"format": 1, "albums": {"a": {"choice": number}}})
    assert "choice: expected a whole number from 1 to 3" in problem


@pytest.mark.parametrize("document", ["null", "[]", '"choices"', "3", "true"])
def test_what_is_no_object_is_refused(file: Path, document: str) -> None:
    [problem] = problems(file, document)
    assert problem.startswith('expected {"format": 1')


def test_a_missing_format_or_missing_albums_are_mistakes(file: Path) -> None:
    assert problems(file, {}) == [
        "format: expected 1, not null",
        "albums: expected an object, not null",
    ]
    assert problems(file, {"format": True, "albums": {}}) == ["format: expected 1, not true"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not valid JSON"),
        (b'{"format": 1,', "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b'{"format": ' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b'{"format": 1, "format": 1, "albums": {}}', "duplicate key 'format'"),
        (b"\xff\xfe{\0", "is not valid UTF-8 at byte 0"),
    ],
)
def test_what_cannot_be_read_is_refused(file: Path, content: bytes, says: str) -> None:
    [problem] = problems(file, content)
    assert says in problem
    assert len(problem) < 200


def test_deep_and_wide_values_make_a_short_line_without_control_characters(file: Path) -> None:
    deep = "[" * 700 + "]" * 700
    wide = json.dumps({f"key {number}\x1b[31m": "x" * 10_000 for number in range(100)})
    for said in (deep, wide):
        [problem] = problems(file, f'{{"format": 1, "albums": {{"a": {said}}}}}')
        assert len(problem) < 700
        assert problem.isprintable()
    [problem] = problems(file, {"format": 1, "albums": {"\x1b[31m" + "x" * 10_000: {}}})
    assert len(problem) < 200
    assert problem.isprintable()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match="no such file"):
            read(path)


def test_a_file_that_is_far_too_large_is_not_read(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(SettingsError, match="larger than"):
        read(file)
