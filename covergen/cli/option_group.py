"""Group options, so that a command receives them as one typed argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, Generic, TypeVar

import click
from click.core import ParameterSource

Value = TypeVar("Value")
Command = TypeVar("Command", bound="Callable[..., Any]")


class OptionGroup(Generic[Value]):
    """A decorator that adds options to a command, which receives their value as one argument."""

    def __init__(self, keyword: str, build: Callable[..., Value]) -> None:
        """Raise TypeError if an option is not a parameter of `build`, or the other way round."""
        self._keyword, self._build = keyword, build
        self._params: list[click.Parameter] = vars(build)["__click_params__"]
        self._names = tuple(str(param.name) for param in self._params if param.expose_value)
        signature(build).bind(**dict.fromkeys(self._names))

    def value(self, params: Mapping[str, Any]) -> Value:
        """Return the value of the group, given the parsed parameters of a command."""
        return self._build(**{name: params[name] for name in self._names})

    def __call__(self, command: Command) -> Command:
        """Add the options to a command. Raises TypeError if it does not take the group."""
        taken = signature(command)
        if self._keyword not in taken.parameters:
            raise TypeError(f"{command.__name__} does not take {self._keyword!r}")

        @wraps(command)
        def grouped(*args: Any, **arguments: Any) -> Any:  # noqa: ANN401 - whatever it returns
            others = {name: arguments[name] for name in arguments if name not in self._names}
            return command(*args, **others, **{self._keyword: self.value(arguments)})

        vars(grouped).update(
            __click_params__=[*vars(command).get("__click_params__", ()), *self._params],
            __signature__=self._flattened(taken),
        )
        return grouped  # type: ignore[return-value]  # called with other keywords

    def _flattened(self, taken: Signature) -> Signature:
        """Return a signature with the group replaced by its options."""
        others = [param for name, param in taken.parameters.items() if name != self._keyword]
        options = [Parameter(name, Parameter.KEYWORD_ONLY) for name in self._names]
        return taken.replace(parameters=sorted([*others, *options], key=lambda param: param.kind))


def option_group(keyword: str) -> Callable[[Callable[..., Value]], OptionGroup[Value]]:
    """Turn a function with options into a decorator that adds these options to a command.

    The function receives the options as keywords. The command receives what it returns, as the
    argument `keyword`:

        @option_group("scan")
        @click.option("--exclude", multiple=True)
        @click.option("--follow-symlinks", is_flag=True)
        def scan_options(*, exclude: tuple[str, ...], follow_symlinks: bool) -> ScanOptions: ...

        @click.command()
        @scan_options
        def strip(*, scan: ScanOptions) -> None: ...

    Groups may contain groups. Imports of heavy modules belong into the function.
    """

    def decorate(build: Callable[..., Value]) -> OptionGroup[Value]:
        return OptionGroup(keyword, build)

    return decorate


def is_on_command_line(name: str) -> bool:
    """Whether the running command was given this parameter, not only a default for it."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE
