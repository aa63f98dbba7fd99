"""Flags in messages: those named below the command line exist, and options are shown as flags."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import covergen
from covergen.cli.main import _message
from covergen.cli.output.lines import reason_text
from covergen.core.errors import OptionError, UsageError
from covergen.core.reasons import Reason
from covergen.pipeline.model_choice import DIFFUSION_OPTIONS
from tests.unit.cli.test_help import COMMANDS

PACKAGE = Path(covergen.__file__).parent
FLAGS = {flag for command in COMMANDS.values() for p in command.params for flag in p.opts}
OF_OTHERS = {"--force-reinstall", "--pretend", "--address", "--head"}  # pip's, beets' and Ray's
NAMED = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def strings_below_cli() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in ("cli", "starter"):  # has its own parsers
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield path, node.value


def test_flags_in_hints_exist() -> None:
    named = {(flag, path) for path, text in strings_below_cli() for flag in NAMED.findall(text)}
    assert {"--no-journal", "--resume"} < {flag for flag, _ in named}, "the search finds something"
    assert not [found for found in named if found[0] not in FLAGS | OF_OTHERS | {"--picture"}]


def test_flags_are_not_spelled_in_core_and_compute() -> None:
    rooms = (PACKAGE / "core", PACKAGE / "compute")
    found = {
        flag
        for path, text in strings_below_cli()
        for flag in NAMED.findall(text)
        if path.is_relative_to(rooms[0]) or path.is_relative_to(rooms[1])
    }
    assert found <= OF_OTHERS


@pytest.mark.parametrize("reason", Reason)
def test_reasons_name_flags_that_exist(reason: Reason) -> None:
    text = reason_text(reason)
    assert text.startswith(reason.text)
    assert set(NAMED.findall(text)) <= FLAGS


@pytest.mark.parametrize("option", ["device", "resolution", "inks", "quality", *DIFFUSION_OPTIONS])
def test_errors_show_the_flag_of_an_option(option: str) -> None:
    error = OptionError(option, "is too large.", hint="Choose less.")
    assert isinstance(error, UsageError)
    flag, _, rest = _message(error).partition(" ")
    assert flag in FLAGS
    assert rest == "is too large.\nChoose less."
