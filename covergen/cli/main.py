"""The command line's root: one group, and where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

import covergen
from covergen.cli.apply import apply
from covergen.cli.cache import cache
from covergen.cli.config import config
from covergen.cli.dataset import dataset
from covergen.cli.demo import demo
from covergen.cli.embed import embed
from covergen.cli.finetune import finetune
from covergen.cli.generate import generate
from covergen.cli.info import info
from covergen.cli.lines import shown
from covergen.cli.models import models
from covergen.cli.runs import runs
from covergen.cli.settings import load_defaults
from covergen.cli.strip import strip
from covergen.cli.tag import tag
from covergen.cli.undo import undo
from covergen.core.errors import CovergenError, Interrupted, UsageError

__all__ = ["cli", "main"]

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class _WrongUse(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """Turns covergen's errors into messages; whatever else is raised is a bug and stays one."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command: exit code 2 for wrong use, 1 for failure, 130 when interrupted."""
        try:
            return super().invoke(ctx)
        except (Interrupted, KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)
        except CovergenError as error:
            kind = _WrongUse if isinstance(error, UsageError) else click.ClickException
            raise kind(shown(str(error), keep="\n")) from error


@click.group(
    cls=_Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "COVERGEN",
        "max_content_width": 100,
    },
)
@click.version_option(covergen.__version__, prog_name="covergen")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Album art for music libraries, painted from the sound itself.

    Look first: covergen tag --dry-run PATH
    """
    import tempfile  # not for --help, which asks for no command

    # torch asks for the user's name to find a folder of its own; some containers have none.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / "torch"))
    if ctx.invoked_subcommand != config.name:  # it shows the mistakes itself
        ctx.default_map = load_defaults(cli)


for command in (
    tag,
    apply,
    undo,
    runs,
    info,
    strip,
    generate,
    embed,
    models,
    config,
    cache,
    demo,
    dataset,
    finetune,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; the names of files may hold what the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="covergen")
