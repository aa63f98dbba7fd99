"""choices.json may come from the page, an editor, or an untrusted source."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.errors import SettingsError
from covergen.preview.choices import Choices, read_choices

_SEEDS = {"a": (10, 11, 2**63 - 1), "b": (20,), "c": (30, 31), "skipped": ()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "choices.json"


def read(file: Path) -> Choices:
    return read_choices(file, preview="p1", seeds=_SEEDS)


def problems(file: Path, content: object) -> list[str]:
    """The problems reported for a file with this content."""
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SettingsError) as caught:
        read(file)
    assert caught.value.path == file
    return list(caught.value.problems)


def test_decisions_are_read(file: Path) -> None:
    albums = {"a": {"choice": 3}, "b": {"reject": True}, "c": {"retry": True}}
    file.write_text(json.dumps({"format": 1, "preview": "p1", "albums": albums}))
    expected = Choices(chosen={"a": 3}, rejected=frozenset({"b"}), retried=frozenset({"c"}))
    assert replace(read(file), name="") == expected
    file.write_text('\ufeff{"format": 1, "albums": {"skipped": {"reject": true}}}\r\n', "utf-8")
    assert read(file).rejected == {"skipped"}


def test_decisions_on_repainted_covers_are_outdated(file: Path) -> None:
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


def test_each_saved_version_has_its_own_name(file: Path) -> None:
    names = set()
    for second in (1, 2):
        file.write_text('{"format": 1, "albums": {}}')
        os.utime(file, (second, second))
        names.add(read(file).name)
    assert len(names) == 2


def test_all_problems_are_reported_at_once(file: Path) -> None:
    found = problems(
        file,
        {
            "format": 2,
            "preview": "p2",
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
        'preview: expected "p1", not "p2"',
        'albums: "a": choice: expected a whole number from 1 to 3, not 4',
        'albums: "b": choice: expected a whole number from 1 to 1, not 0',
        'albums: "c": choice: expected a whole number from 1 to 2, not true',
        'albums: "skipped": it was not painted, so it cannot be chosen or retried',
        'albums: "x": not an album of the preview',
    ]
    assert problems(file, {}) == [
        "format: expected 1, not null",
        "albums: expected an object, not null",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        "reject",
        {"reject": False},
        {"reject": 1},
        {"retry": "true"},
        {"Choice": 1},
        {"choice": 1, "reject": True},
        {"choice": 1, "seed": 10},
        {"seed": "10"},
    ],
)
def test_entry_must_be_one_decision(file: Path, entry: object) -> None:
    [problem] = problems(file, {"format": 1, "albums": {"a": entry}})
    assert problem.startswith('albums: "a": expected {')


@pytest.mark.parametrize("number", [1.0, 1.5, -1, 10**30, "1", None, [1], float("nan")])
def test_choice_must_be_the_number_of_a_candidate(file: Path, number: object) -> None:
    [problem] = problems(file, {"format": 1, "albums": {"a": {"choice": number}}})
    assert "choice: expected a whole number from 1 to 3" in problem


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"null", 'expected {"format": 1'),
        (b"[]", 'expected {"format": 1'),
        (b'"choices"', 'expected {"format": 1'),
        (b"", "not valid JSON"),
        (b'{"format": 1,', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"\xff\xfe{\0", "not valid JSON in UTF-8"),
    ],
)
def test_invalid_document_is_rejected(file: Path, content: bytes, message: str) -> None:
    [problem] = problems(file, content)
    assert message in problem
    assert len(problem) < 200


def test_problem_is_short_and_printable_whatever_the_value(file: Path) -> None:
    deep = "[" * 700 + "]" * 700
    wide = json.dumps({f"key {number}\x1b[31m": "x" * 10_000 for number in range(100)})
    for entry in (deep, wide):
        [problem] = problems(file, f'{{"format": 1, "albums": {{"a": {entry}}}}}')
        assert len(problem) < 700
        assert problem.isprintable()
    [problem] = problems(file, {"format": 1, "albums": {"\x1b[31m" + "x" * 10_000: {}}})
    assert len(problem) < 200
    assert problem.isprintable()


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read(tmp_path)
