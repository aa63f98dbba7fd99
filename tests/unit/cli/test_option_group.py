"""Options reach a command as typed arguments, and none is lost on the way."""

from dataclasses import asdict
from inspect import signature

import click
import pytest
from click.testing import CliRunner

from covergen.cli.model_options import model_options
from covergen.cli.option_group import option_group
from covergen.pipeline.model_choice import ModelChoice
from tests.unit.cli.test_help import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_reaches_its_command(name: str) -> None:
    command = COMMANDS[name]
    assert command.callback is not None
    parameters = {str(param.name): None for param in command.params if param.expose_value}
    signature(command.callback).bind_partial(**parameters)  # raises TypeError for unknown ones
    missing = set(signature(command.callback).parameters) - parameters.keys()
    assert missing <= {"ctx", "settings"}


def test_every_option_of_the_model_is_a_field_of_its_choice() -> None:
    @click.command()
    @model_options
    def show(*, choice: ModelChoice) -> None:
        """Do nothing."""

    given = {str(param.name): str(param.name) for param in show.params if param.expose_value}
    assert asdict(model_options.value(given)) == given


def test_a_group_is_passed_as_one_argument() -> None:
    @option_group("size")
    @click.option("--width", type=int)
    @click.option("--height", type=int)
    def size_options(*, width: int, height: int) -> tuple[int, int]:
        return width, height

    @option_group("picture")
    @size_options
    @click.option("--title")
    def picture_options(*, size: tuple[int, int], title: str) -> str:
        return f"{title}: {size[0]} × {size[1]}"

    @click.command()
    @picture_options
    @click.option("--twice", is_flag=True)
    def show(*, picture: str, twice: bool) -> None:
        click.echo(picture * (1 + twice))

    assert [param.name for param in show.params] == ["width", "height", "title", "twice"]
    result = CliRunner().invoke(show, ["--width", "2", "--height", "3", "--title", "A"])
    assert result.stdout == "A: 2 × 3\n"


def test_an_option_that_its_group_forgets_is_an_error() -> None:
    with pytest.raises(TypeError, match="depth"):

        @option_group("size")
        @click.option("--width", type=int)
        @click.option("--depth", type=int)
        def size_options(*, width: int) -> int:
            return width


def test_a_command_that_does_not_take_its_group_is_an_error() -> None:
    @option_group("size")
    @click.option("--width", type=int)
    def size_options(*, width: int) -> int:
        return width

    with pytest.raises(TypeError, match="size"):

        @size_options
        def show(*, width: int) -> None: ...
