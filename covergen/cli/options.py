"""Options shared by several commands, in groups that become one typed argument each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from covergen.cli import value_types
from covergen.cli.option_group import option_group
from covergen.cli.output.renderer import Renderer
from covergen.cli.value_types import WholeNumber
from covergen.compute.device import MOST_FOR_CPU, worker_count
from covergen.core.cover_encoding import LEAST_BYTES, PURPOSES, Encoding
from covergen.core.errors import UsageError
from covergen.library.scanning.known_names import COVER_NAMES

if TYPE_CHECKING:
    from covergen.library.scanning.scan import ScanOptions
    from covergen.library.writing.rewrite import RewriteOptions
    from covergen.pipeline.options import PlanOptions, WriteOptions


Command = TypeVar("Command", bound="Callable[..., Any]")

paths_argument = click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)


def output_option(text: str, *, metavar: str = "DIR") -> Callable[[Command], Command]:
    """Return the required option --output with this help."""
    return click.option(
        "-o", "--output", required=True, type=click.Path(path_type=Path), metavar=metavar, help=text
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON Lines instead of text."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only failures and totals.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Print a line for every file.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
dry_run_option = click.option(
    "-n", "--dry-run", is_flag=True, help="Print the plan and change nothing."
)
jobs_option = click.option(
    "-j",
    "--jobs",
    type=WholeNumber(1, 64),
    default=worker_count(None, "cpu"),
    show_default=f"cores, at most {MOST_FOR_CPU}",
    help="Number of decoder processes.",
)
seed_option = click.option(
    "--seed", type=WholeNumber(0), default=0, help="Random seed; change it for different covers."
)
follow_symlinks_option = click.option(
    "--follow-symlinks", is_flag=True, help="Follow links that lead out of the library."
)
cover_names_option = click.option(
    "--cover-names",
    type=value_types.cover_glob,
    metavar="GLOB",
    multiple=True,
    default=COVER_NAMES,
    show_default=False,
    help="Names of cover files, replacing the defaults that `covergen config` lists. FOLDER/NAME"
    " matches in a subfolder; <album> stands for the album's title. Repeatable.",
)
size_option = click.option(
    "--size", type=WholeNumber(16, 4096), help="Width and height in pixels.  [default: as painted]"
)
no_journal_option = click.option(
    "--no-journal", is_flag=True, help="Do not record the run; it cannot be undone."
)
hardlinks_option = click.option(
    "--hardlinks",
    type=click.Choice(["skip", "break"]),
    default="skip",
    help="Skip files with several hard links, or break the links.",
)
min_age_option = click.option(
    "--min-age",
    type=WholeNumber(0),
    default=0,
    metavar="SECONDS",
    help="Skip files modified less than this long ago.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """What a command prints, and how."""

    quiet: bool
    verbose: bool
    as_json: bool

    def renderer(self, noun: str = "album") -> Renderer:
        """Return a renderer for the events of a job, with one result for each `noun`."""
        return Renderer(as_json=self.as_json, quiet=self.quiet, verbose=self.verbose, noun=noun)


@option_group("console")
@quiet_option
@verbose_option
@json_option
def console_options(*, quiet: bool, verbose: bool, as_json: bool) -> ConsoleOptions:
    """What to print."""
    return ConsoleOptions(quiet=quiet, verbose=verbose, as_json=as_json)


@option_group("scan")
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Skip files and folders whose name or path below PATH matches. Repeatable.",
)
@follow_symlinks_option
def scan_options(*, exclude: tuple[str, ...], follow_symlinks: bool) -> ScanOptions:
    """How to scan paths."""
    from covergen.library.scanning.scan import ScanOptions

    return ScanOptions(exclude=exclude, follow_symlinks=follow_symlinks)


@option_group("plan")
@click.argument(  # not required: a retry of a preview knows its paths
    "paths", metavar="PATH...", nargs=-1, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--per",
    type=click.Choice(["album", "track"]),
    default="album",
    help="One cover per album or per track.",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing covers.")
@click.option("--fill", is_flag=True, help="Copy existing covers to the rest of the album.")
@click.option("--limit", type=WholeNumber(0), help="Maximum number of albums.")
@scan_options
@cover_names_option
def plan_options(
    *,
    paths: tuple[Path, ...],
    per: Literal["album", "track"],
    force: bool,
    fill: bool,
    limit: int | None,
    scan: ScanOptions,
    cover_names: tuple[str, ...],
) -> PlanOptions:
    """Which albums to cover. Raises UsageError for options that exclude each other."""
    from covergen.pipeline.options import PlanOptions

    if force and fill:
        raise UsageError("--force and --fill cannot be combined.")
    scan = replace(scan, per=per, cover_names=cover_names)
    return PlanOptions(paths=paths, scan=scan, force=force, fill=fill, limit=limit)


def written_plan(plan: PlanOptions, write: WriteOptions) -> PlanOptions:
    """Return a plan with where its covers are written. Raises UsageError if they do not fit.

    Raises MissingParameter if there are no paths.
    """
    if not plan.paths:
        context = click.get_current_context()
        paths = next(param for param in context.command.params if param.name == "paths")
        raise click.MissingParameter(ctx=context, param=paths)
    if plan.fill and not write.embed:
        raise UsageError("--fill and --no-embed cannot be combined.")
    return replace(plan, scan=replace(plan.scan, bare=write.sidecar), write=write)


@option_group("encoding")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(list(PURPOSES)),
    metavar="PURPOSE",
    help="Encode for a purpose: player, archive or release.",
)
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["png", "jpeg"]),
    help="Image format.  [default: png]",
)
@size_option
@click.option(
    "--max-bytes",
    type=WholeNumber(LEAST_BYTES),
    help="Encode larger pictures at a lower JPEG quality, and then with fewer pixels.",
)
@click.option("--jpeg-quality", type=WholeNumber(1, 95), help="JPEG quality.  [default: 90]")
def encoding_options(
    *,
    purpose: str | None,
    image_format: Literal["png", "jpeg"] | None,
    size: int | None,
    max_bytes: int | None,
    jpeg_quality: int | None,
) -> Encoding:
    """How to encode pictures."""
    from covergen.core.cover_encoding import Encoding

    encoding = PURPOSES[purpose] if purpose else Encoding()
    return replace(
        encoding,
        format=image_format or encoding.format,
        size=size or encoding.size,
        max_bytes=max_bytes or encoding.max_bytes,
        quality=jpeg_quality or encoding.quality,
    )


@option_group("rewrite")
@click.option("--preserve-mtime", is_flag=True, help="Keep modification times.")
@hardlinks_option
@min_age_option
def rewrite_options(
    *, preserve_mtime: bool, hardlinks: Literal["skip", "break"], min_age: int
) -> RewriteOptions:
    """How to replace files."""
    from covergen.library.writing.rewrite import RewriteOptions

    return RewriteOptions(
        preserve_mtime=preserve_mtime, hardlinks=hardlinks, min_age_seconds=min_age
    )


@option_group("place")
@click.option("--sidecar", is_flag=True, help="Also write a cover file, unless there is one.")
@click.option(
    "--sidecar-for",
    "sidecar_purpose",
    type=click.Choice(list(PURPOSES)),
    help="Also write a cover file, encoded for another purpose.",
)
@click.option("--no-embed", is_flag=True, help="Do not change music files; requires --sidecar.")
def place_options(*, sidecar: bool, sidecar_purpose: str | None, no_embed: bool) -> WriteOptions:
    """Where covers are written. Raises UsageError if that is nowhere."""
    from covergen.pipeline.options import WriteOptions

    sidecar = sidecar or sidecar_purpose is not None
    if no_embed and not sidecar:
        raise UsageError("--no-embed requires --sidecar: otherwise nothing is written.")
    return WriteOptions(
        embed=not no_embed,
        sidecar=sidecar,
        sidecar_encoding=PURPOSES[sidecar_purpose] if sidecar_purpose else None,
    )


@option_group("write")
@encoding_options
@place_options
@no_journal_option
@rewrite_options
def write_options(
    *, encoding: Encoding, place: WriteOptions, no_journal: bool, rewrite: RewriteOptions
) -> WriteOptions:
    """Where covers are written, and how."""
    return replace(place, encoding=encoding, rewrite=rewrite, journal=not no_journal)
