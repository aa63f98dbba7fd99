"""Help pages: short, and complete with --help-all."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from covergen.cli.help_sections import SectionedCommand
from covergen.cli.main import cli
from covergen.cli.value_types import Number, WholeNumber

DOCUMENTATION = (Path(__file__).parents[3] / ".docs/commands.md").read_text()


def all_commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(all_commands(cli))
SECTIONED = {name: c for name, c in COMMANDS.items() if isinstance(c, SectionedCommand)}


def page(name: str, flag: str) -> str:
    result = CliRunner().invoke(cli, [*name.split(), flag], prog_name="covergen", terminal_width=80)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_on_one_and_a_half_screens(name: str) -> None:
    lines = page(name, "--help").splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert f"covergen {name}" in DOCUMENTATION
    shown = page(name, "--help-all" if "--help-all" in page(name, "--help") else "--help")
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help
            assert option.opts[0] in shown
            described = isinstance(option.type, click.Choice | Number | WholeNumber)
            assert option.is_flag or option.metavar or described, (
                "not described by its type alone, as in `--model TEXT`"
            )


@pytest.mark.parametrize("name", SECTIONED)
def test_every_option_is_in_exactly_one_section(name: str) -> None:
    command = SECTIONED[name]
    listed = Counter(option for section in command.sections.values() for option in section)
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert listed[str(option.name)] == 1, option


def test_rarely_used_options_are_shown_on_request() -> None:
    brief, full = page("tag", "--help"), page("tag", "--help-all")
    assert brief.splitlines()[-1].endswith("covergen tag --help-all")
    assert "--scheduler" not in brief
    assert "--scheduler" in full
    headings = [line for line in brief.splitlines() if line.endswith(":") and line[0].isalpha()]
    assert headings == [
        "What to cover:", "Picture:", "Model:", "Speed:", "Files:", "Output:",
    ]  # fmt: skip
