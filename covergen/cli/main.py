"""The root command group. Turns errors into messages and exit codes."""

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

import click

import covergen
from covergen.core.errors import CovergenError, Interrupted, OptionError, UsageError

_AS_JSON = "covergen.as_json"
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

# Each command is in the module of the same name. Short helps are here so that `covergen --help`
# imports no command.
_COMMANDS = {
    "apply": "Write the covers of a reviewed preview.",
    "cache": "Show and prune stored data.",
    "config": "Show the settings in effect.",
    "dataset": "Create and check datasets for training.",
    "demo": "Create a small music library and tag it.",
    "embed": "Write CLAP embeddings of audio files.",
    "finetune": "Train an adapter on music and covers.",
    "generate": "Paint pictures from audio files.",
    "info": "Explain a file's cover, or what tag would do with an album.",
    "models": "List, show, download and export models.",
    "preview": "Paint covers into a folder for review.",
    "runs": "List the runs that wrote files.",
    "strip": "Remove covers that covergen painted.",
    "tag": "Paint covers for albums without one and embed them.",
    "undo": "Restore files to their state before a run.",
}


class _WrongUse(click.ClickException):
    exit_code = 2


class _Commands(Mapping[str, click.Command]):
    """The commands by name. A command's module is imported on access."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in _COMMANDS:
            raise KeyError(name)
        command: click.Command = getattr(import_module(f"covergen.cli.commands.{name}"), name)
        command.short_help = _COMMANDS[name]
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Group(click.Group):
    """A group that turns covergen's errors into messages. Any other exception is a bug."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - Click's own
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments, after looking for --json: if parsing fails, the command is unknown."""
        ctx.meta[_AS_JSON] = "--json" in args[: args.index("--") if "--" in args else None]
        with _errors_as_json(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. Exits with 2 on wrong usage, 1 on failure, 130 when interrupted."""
        with _errors_as_json(ctx):
            try:
                return super().invoke(ctx)
            except (Interrupted, KeyboardInterrupt, click.Abort):
                ctx.exit(INTERRUPTED)
            except CovergenError as error:
                from covergen.cli.output.lines import shown

                kind = _WrongUse if isinstance(error, UsageError) else click.ClickException
                raise kind(shown(_message(error), keep="\n")) from error
            except OSError as error:
                if error.errno != errno.ENOSPC or error.filename is not None:
                    raise
                message = "Cannot write the output: no space left on the disk."
                raise click.ClickException(message) from error


def _message(error: CovergenError) -> str:
    """Return an error's message, with the flag of the option that it is about."""
    if not isinstance(error, OptionError):
        return str(error)
    flag = f"--{error.option.replace('_', '-')}"
    return f"{flag}{str(error).removeprefix(error.option)}"


@contextmanager
def _errors_as_json(ctx: click.Context) -> Iterator[None]:
    """With --json, also print the error that ends the command as an object on stdout."""
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
        "show_default": True,
    },
)
@click.version_option(covergen.__version__, "-V", "--version", prog_name="covergen")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Album art for music libraries, painted from the sound itself.

    To see what covergen would do: covergen tag --dry-run PATH
    """
    from covergen.cli.settings import load_defaults  # local, so that --help does not import it

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", _torch_folder())
    if ctx.invoked_subcommand != "config":  # which reports mistakes itself
        ctx.default_map = load_defaults(cli)


def _torch_folder() -> str:
    """Return a folder for torch, which otherwise looks up the user; some containers have none.

    Raises UsageError if there is no folder for temporary files.
    """
    import tempfile
    from pathlib import Path

    try:
        return str(Path(tempfile.gettempdir()) / "torch")
    except FileNotFoundError:
        raise UsageError(
            "No folder for temporary files can be written.",
            hint="Make /tmp writable, or set TMPDIR to a writable folder.",
        ) from None


def main() -> None:
    """Run the command line. Characters that the terminal cannot show are escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="covergen")
