"""`covergen config`: show the settings in effect and where each comes from."""

from collections.abc import Iterator
from datetime import date
from typing import cast

import click
import tomlkit
from click.core import ParameterSource

from covergen.cli.settings import config_file, load_defaults, option_key

_SOURCES = {
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "config.toml",
    ParameterSource.DEFAULT: "default",
}


@click.command()
@click.pass_context
def config(ctx: click.Context) -> None:
    """Show where covergen's files are, and each option's value and where it comes from."""
    from covergen.core.app_folders import cache_folder, config_folder, state_folder

    root = ctx.find_root()
    file = config_file()
    own = {"settings": file, "models": config_folder() / "models.toml"}
    own["words"] = config_folder() / "vocabulary.toml"
    for name, path in own.items():
        click.echo(f"{name:<10}{path}{'' if path.exists() else ' (does not exist)'}")
    click.echo(f"cache     {cache_folder()}")
    click.echo(f"state     {state_folder()}")
    root.default_map = load_defaults(cast("click.Group", root.command))
    for line in _settings(root):
        click.echo(line)


def _settings(ctx: click.Context) -> Iterator[str]:
    """Yield the lines of a config.toml with the values of every command below `ctx`."""
    for name, command in cast("click.Group", ctx.command).commands.items():
        child = click.Context(command, info_name=name, parent=ctx)
        if isinstance(command, click.Group):
            yield from _settings(child)
            continue
        options = [
            param
            for param in command.params
            if isinstance(param, click.Option) and not param.is_eager and not param.hidden
        ]
        if options:
            yield f"\n[{child.command_path.partition(' ')[2].replace(' ', '.')}]"
        for option in options:
            value, source = option.consume_value(child, {})
            if source is ParameterSource.ENVIRONMENT:
                converted = option.type_cast_value(child, value)
                value = converted if _is_plain(converted) else value
            if source in _SOURCES and _is_plain(value):
                shown = tomlkit.item(value).as_string()
                yield f"{option_key(option)} = {shown}  # {_SOURCES[source]}"
            else:
                yield f"# {option_key(option)} is not set"


def _is_plain(value: object) -> bool:
    """Whether TOML can express a value; others, such as paths, are shown as they were given."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str | date)
