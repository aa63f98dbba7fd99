"""The command line's root: one group, and where errors become messages and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

import click

import covergen
from covergen.core.errors import CovergenError, Interrupted, UsageError

__all__ = ["cli", "main"]

_AS_JSON = "covergen.as_json"
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

# Each is the command of this name in the module of this name, with its line in the root's help.
_COMMANDS = {
    "apply": "Write the covers of a preview that was looked at.",
    "cache": "Show and prune what is stored.",
    "config": "Print the settings in force.",
    "dataset": "Make pairs of music and covers to train on, and check them.",
    "demo": "Make a small library of real music files, and tag it.",
    "embed": "Write CLAP embeddings of audio files.",
    "finetune": "Train an adapter on music and covers.",
    "generate": "Paint pictures from audio files.",
    "info": "Explain a file's cover, or what tag would do with an album.",
    "models": "List, show, fetch and export the models that can paint.",
    "runs": "List the runs that wrote, and which are undone.",
    "strip": "Take covergen's own covers out again.",
    "tag": "Paint covers for albums that have none, into their tracks.",
    "undo": "Put files back as they were before a run.",
}


class _WrongUse(click.ClickException):
    exit_code = 2


class _Commands(Mapping[str, click.Command]):
    """The commands by their names. One's module is imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in _COMMANDS:
            raise KeyError(name)
        command: click.Command = getattr(import_module(f"covergen.cli.commands.{name}"), name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Group(click.Group):
    """Turns covergen's errors into messages; whatever else is raised is a bug and stays one."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - Click's own
        """List the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for --json first: which command it belongs to is not known where parsing fails."""
        ctx.meta[_AS_JSON] = "--json" in args[: args.index("--") if "--" in args else None]
        with _errors_as_json(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command: exit code 2 for wrong use, 1 for failure, 130 when interrupted."""
        with _errors_as_json(ctx):
            try:
                return super().invoke(ctx)
            except (Interrupted, KeyboardInterrupt, click.Abort):
                ctx.exit(INTERRUPTED)
            except CovergenError as error:
                from covergen.cli.output.text import shown

                kind = _WrongUse if isinstance(error, UsageError) else click.ClickException
                raise kind(shown(str(error), keep="\n")) from error
            except OSError as error:
                if error.errno != errno.ENOSPC or error.filename is not None:
                    raise
                message = "What it prints cannot be written: the disk that it goes to is full."
                raise click.ClickException(message) from error


@contextmanager
def _errors_as_json(ctx: click.Context) -> Iterator[None]:
    """With --json, print what ends the command as an object too. Click prints it on stderr."""
    try:
        yield
    except click.ClickException as error:
        if ctx.meta[_AS_JSON]:
            from covergen.cli.output import jsonl

            click.echo(jsonl.dumps("error", jsonl.error_object(error)))
        raise


@click.group(
    cls=_Group,
    commands=_Commands(),
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "COVERGEN",
        "max_content_width": 100,
    },
)
@click.version_option(covergen.__version__, "-V", "--version", prog_name="covergen")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Album art for music libraries, painted from the sound itself.

    Look first: covergen tag --dry-run PATH
    """
    import tempfile  # these are not for --help, which asks for no command
    from pathlib import Path

    from covergen.cli.settings import load_defaults

    # torch asks for the user's name to find a folder of its own; some containers have none.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / "torch"))
    if ctx.invoked_subcommand != "config":  # it shows the mistakes itself
        ctx.default_map = load_defaults(cli)


def main() -> None:
    """Run the command line; the names of files may hold what the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="covergen")
