"""Read and check config.toml, the user's defaults for the options of every command."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from covergen.core.app_folders import config_folder
from covergen.core.errors import SettingsError
from covergen.core.toml import read_toml


def config_file() -> Path:
    """The path of config.toml, which may not exist."""
    return config_folder() / "config.toml"


def option_key(option: click.Parameter) -> str:
    """Return an option's name in config.toml: its long flag without the dashes."""
    flags = [flag for flag in option.opts if flag.startswith("--")]
    return (flags[0] if flags else str(option.name)).lstrip("-")


def load_defaults(group: click.Group) -> dict[str, Any]:
    """Read config.toml into Click's default map, with one table per command.

    Raises SettingsError listing every mistake in the file.
    """
    file = config_file()
    try:
        tables = read_toml(file)
    except FileNotFoundError:
        return {}
    problems: list[str] = []
    defaults = _defaults(group, tables, "", problems)
    if problems:
        raise SettingsError(file, problems)
    return _with_shared(group, defaults)


def _with_shared(group: click.Group, defaults: dict[str, Any]) -> dict[str, Any]:
    """Let the options that `preview` shares with `tag` default to those in [tag]."""
    shared = {str(param.name) for param in group.commands["preview"].params}
    of_tag = {name: value for name, value in defaults.get("tag", {}).items() if name in shared}
    return defaults | {"preview": of_tag | defaults.get("preview", {})}


def _defaults(
    group: click.Group, tables: dict[str, Any], prefix: str, problems: list[str]
) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    for name, table in tables.items():
        command = group.commands.get(name)
        if command is None or not isinstance(table, dict):
            known = ", ".join(f"[{prefix}{command}]" for command in group.commands)
            problems.append(f"{prefix}{name}: not the table of a command; the tables are {known}")
        elif isinstance(command, click.Group):
            defaults[name] = _defaults(command, table, f"{prefix}{name}.", problems)
        else:
            defaults[name] = dict(_values(command, table, f"{prefix}{name}", problems))
    return defaults


def _values(
    command: click.Command, table: dict[str, Any], where: str, problems: list[str]
) -> Iterator[tuple[str, Any]]:
    options = {
        option_key(option): option
        for option in command.params
        if isinstance(option, click.Option) and not option.is_eager
    }
    for key, value in table.items():
        option = options.get(key.replace("_", "-"))
        if option is None:
            names = [name for name in options if not options[name].hidden]
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the options are {', '.join(names)}"
            problems.append(f"{where}.{key}: no such option; {hint}")
            continue
        if option.multiple and not isinstance(value, list):
            problems.append(f"{where}.{key}: {value!r} is not a list, such as [{value!r}]")
            continue
        try:
            option.type_cast_value(click.Context(command), value)
        except (click.BadParameter, TypeError, ValueError) as error:
            problems.append(f"{where}.{key}: {getattr(error, 'message', error)}")
        else:
            yield str(option.name), value
