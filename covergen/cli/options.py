"""Options shared by several commands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from covergen.cli.numbers import Number, WholeNumber
from covergen.cli.output.progress import Renderer
from covergen.core.errors import UsageError
from covergen.core.picture import LEAST_BYTES, PURPOSES
from covergen.core.types import FINISHES, PADDINGS, QUALITIES, SCHEDULERS, TITLES
from covergen.library.scanning.folder_names import COVER_NAMES

if TYPE_CHECKING:
    from covergen.core.picture import Encoding
    from covergen.library.scanning.scan import ScanOptions
    from covergen.library.writing.rewrite import RewriteOptions
    from covergen.models.presets import Preset
    from covergen.pipeline.model import ModelChoice
    from covergen.pipeline.options import PaintOptions, WriteOptions

__all__ = [
    "SECTIONS",
    "SectionedCommand",
    "Sections",
    "base_option",
    "clap_options",
    "compute_options",
    "cover_names_option",
    "encoding_choice",
    "encoding_options",
    "follow_symlinks_option",
    "hardlinks_option",
    "jobs_option",
    "journal_option",
    "json_option",
    "model_choice",
    "output_choice",
    "paint_choice",
    "paint_options",
    "paths_argument",
    "quiet_option",
    "rewrite_choice",
    "rewrite_options",
    "scan_choice",
    "scan_options",
    "seed_option",
    "verbose_option",
    "write_choice",
    "write_options",
    "yes_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_FIRST_COLUMN = 26  # characters that an option and its metavar may take


Sections = Mapping[str, Sequence[str]]
"""Headings of a help page, each with the names of its parameters in order."""

SECTIONS: Sections = {
    "What to cover": ("per", "force", "fill", "artists", "limit", "albums", "exclude"),
    "Preview": (
        "dry_run", "preview", "candidates", "retry", "no_audio", "choices", "libraries",
    ),
    "Picture": (
        "quality", "styles", "finish", "inks", "title", "seed", "purpose", "size", "image_format",
        "max_bytes",
    ),
    "Model": ("model", "adapter", "base", "clap"),
    "Speed": ("device", "batch_size", "jobs"),
    "Files": ("sidecar", "sidecar_purpose", "no_embed", "min_age", "preserve_mtime"),
    "Output": ("output", "yes", "quiet", "verbose", "as_json", "help"),
    "Advanced": (
        "steps", "guidance", "guided_from", "guided_until", "reuse", "scheduler", "windows",
        "padding", "lora_rank", "dtype", "paint_size", "jpeg_quality", "cover_names",
        "artist_name",
        "follow_symlinks", "hardlinks", "no_journal",
    ),
}  # fmt: skip


class SectionedCommand(click.Command):
    """A command whose help page lists its options under headings."""

    def __init__(
        self,
        *args: Any,
        sections: Sections = SECTIONS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that have options, with their columns aligned."""
        options = {str(param.name): param for param in self.params}
        if (help_option := self.get_help_option(ctx)) is not None:
            options["help"] = help_option
        rows = {name: row for name, o in options.items() if (row := o.get_help_record(ctx))}
        width = min(_FIRST_COLUMN, max(len(flags) for flags, _ in rows.values()))
        for title, names in self.sections.items():
            section = [rows[name] for name in names if name in rows]
            if section:
                with formatter.section(title):
                    padded = [(f"{flags:<{width}}", text) for flags, text in section]
                    formatter.write_dl(padded, col_max=_FIRST_COLUMN)


class _Device(click.ParamType[str]):
    """A device as PyTorch names it, or "auto"."""

    name = "device"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value).lower()
        if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,2})?", text):
            self.fail(f"{value!r} is not auto, cpu, cuda, cuda:N or mps.", param, ctx)
        return text


class _BatchSize(click.ParamType[int | None]):
    """A number of covers, or "auto"."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return the number, or None for "auto"."""
        if value is None or value == "auto":
            return None
        number = int(str(value)) if str(value).isdecimal() else 0
        if number < 1:
            self.fail(f"{value!r} is neither 'auto' nor a whole number of at least 1.", param, ctx)
        return number


class _CoverGlob(click.ParamType[str]):
    """A glob for a file name, or for a subfolder and a file name."""

    name = "glob"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the glob unchanged."""
        glob = str(value)
        parts = glob.split("/")
        if len(parts) > 2 or not all(parts):
            self.fail(f"{glob!r} is neither NAME nor FOLDER/NAME.", param, ctx)
        return glob


def _together(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


paths_argument = click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON Lines instead of text.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only failures and totals.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Print a line for every file.")
jobs_option = click.option(
    "-j",
    "--jobs",
    type=WholeNumber(1, 64),
    default=min(4, os.cpu_count() or 1),
    metavar="N",
    show_default="cores, at most 4",
    help="Number of decoder processes.",
)
seed_option = click.option(
    "--seed",
    type=WholeNumber(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed; change it for different covers.",
)
base_option = click.option(
    "--base", metavar="NAME|DIR", help="Use another diffusion model as the base."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")

follow_symlinks_option = click.option(
    "--follow-symlinks", is_flag=True, help="Follow links that lead out of the library."
)

cover_names_option = click.option(
    "--cover-names",
    type=_CoverGlob(),
    metavar="GLOB",
    multiple=True,
    default=COVER_NAMES,
    help="Names of cover files, replacing the defaults that `covergen config` lists. FOLDER/NAME"
    " matches in a subfolder; <album> stands for the album's title. Repeatable.",
)

scan_options = _together(
    click.option(
        "--exclude",
        metavar="GLOB",
        multiple=True,
        help="Skip files and folders whose name or path below PATH matches. Repeatable.",
    ),
    follow_symlinks_option,
)

clap_options = _together(
    click.option(
        "-m",
        "--model",
        metavar="NAME",
        help="A name from `covergen models list`.  [default: starter, or none if all parts are"
        " given]",
    ),
    click.option("--clap", metavar="NAME|DIR", help="Use another CLAP model."),
    click.option(
        "--windows",
        type=WholeNumber(1, 100),
        metavar="N",
        help="10 s windows embedded per track.  [default: the model's]",
    ),
    click.option(
        "--padding",
        type=click.Choice(PADDINGS),
        help="Pad tracks shorter than 10 s by repeating them or with silence."
        "  [default: the model's]",
    ),
)

compute_options = _together(
    click.option(
        "--device",
        type=_Device(),
        default="auto",
        show_default=True,
        metavar="DEVICE",
        help="Where to compute: auto, cpu, cuda, cuda:N (the Nth GPU, from 0) or mps.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        default="auto",
        show_default=True,
        help="Precision; auto: bf16 or fp16 on a GPU, fp32 on a CPU.",
    ),
    jobs_option,
)

paint_options = _together(
    clap_options,
    click.option("--adapter", metavar="FILE", help="Adapter from covergen or art-from-audio."),
    base_option,
    click.option(
        "--lora-rank",
        type=WholeNumber(1),
        metavar="N",
        help="Fail if the adapter has another rank.",
    ),
    click.option(
        "--steps",
        type=WholeNumber(1, 1000),
        metavar="N",
        help="Number of denoising steps.  [default: the model's]",
    ),
    click.option(
        "--guidance",
        type=Number(0, 100),
        metavar="X",
        help="Guidance scale; 1 or less turns it off.  [default: the model's]",
    ),
    click.option(
        "--scheduler",
        type=click.Choice(SCHEDULERS),
        help="Diffusion sampler.  [default: the model's]",
    ),
    click.option(
        "--guided-from",
        type=Number(0, 1),
        metavar="X",
        help="Share of the steps before guidance starts.  [default: the model's]",
    ),
    click.option(
        "--guided-until",
        type=Number(0, 1),
        metavar="X",
        help="Share of the steps after which guidance stops; unguided steps take half the time."
        "  [default: the model's]",
    ),
    click.option(
        "--reuse",
        type=WholeNumber(1, 10),
        metavar="N",
        help="Run the full UNet only every Nth step.  [default: the model's]",
    ),
    click.option(
        "--quality",
        type=click.Choice(QUALITIES),
        default="standard",
        show_default=True,
        help="Preset of sampling settings; reference: exactly as in art-from-audio. Explicit"
        " options override this.",
    ),
    click.option(
        "--style",
        "styles",
        multiple=True,
        metavar="WORDS",
        help="Words that guide the picture along with the music. Repeatable: each album takes one."
        "  [default: the model's]",
    ),
    click.option(
        "--finish",
        type=click.Choice(FINISHES),
        help="Print in flat inks with sharp edges, optionally on grained paper."
        "  [default: the model's]",
    ),
    click.option(
        "--inks",
        type=WholeNumber(2, 24),
        metavar="N",
        help="Maximum number of inks of a print.  [default: the model's]",
    ),
    click.option(
        "--title",
        type=click.Choice(TITLES),
        help="Typeset the title, or title and artist (full), on the cover.  [default: the model's]",
    ),
    click.option(
        "--paint-size",
        type=WholeNumber(16, 4096),
        metavar="N",
        help="Width and height in pixels at which posters, prints and titles are painted."
        "  [default: the largest size written]",
    ),
    click.option(
        "--batch-size",
        type=_BatchSize(),
        default="auto",
        show_default=True,
        metavar="N|auto",
        help="Number of covers painted at once.",
    ),
    compute_options,
)

encoding_options = _together(
    click.option(
        "--for",
        "purpose",
        type=click.Choice(list(PURPOSES)),
        help="Encode for players (JPEG, 600 pixels, at most 200 kB), an archive (PNG, 1024 pixels)"
        " or a release (JPEG, 3000 pixels, at most 10 MB). Explicit options override this.",
    ),
    click.option(
        "--format",
        "image_format",
        type=click.Choice(["png", "jpeg"]),
        help="Image format.  [default: png]",
    ),
    click.option(
        "--size",
        type=WholeNumber(16, 4096),
        metavar="N",
        help="Width and height in pixels.  [default: as painted; 1024 for prints and titles]",
    ),
    click.option(
        "--max-bytes",
        type=WholeNumber(LEAST_BYTES),
        metavar="N",
        help="Encode larger pictures at a lower JPEG quality, and then with fewer pixels.",
    ),
    click.option(
        "--jpeg-quality",
        type=WholeNumber(1, 95),
        metavar="N",
        help="JPEG quality.  [default: 90]",
    ),
)

hardlinks_option = click.option(
    "--hardlinks",
    type=click.Choice(["skip", "break"]),
    default="skip",
    show_default=True,
    help="Skip files with several hard links, or break the links.",
)

rewrite_options = _together(
    click.option("--preserve-mtime", is_flag=True, help="Keep modification times."),
    hardlinks_option,
    click.option(
        "--min-age",
        type=WholeNumber(0),
        default=0,
        show_default=True,
        metavar="SECONDS",
        help="Skip files modified less than this long ago.",
    ),
)

journal_option = click.option(
    "--no-journal", is_flag=True, help="Do not record the run; it cannot be undone."
)

write_options = _together(
    encoding_options,
    click.option("--sidecar", is_flag=True, help="Also write a cover file, unless there is one."),
    click.option(
        "--sidecar-for",
        "sidecar_purpose",
        type=click.Choice(list(PURPOSES)),
        help="Also write a cover file, encoded for another purpose.",
    ),
    click.option("--no-embed", is_flag=True, help="Do not change music files; requires --sidecar."),
    journal_option,
    rewrite_options,
)


def model_choice(options: dict[str, Any]) -> ModelChoice:
    """Return the choice of model from the parsed options."""
    from dataclasses import fields

    from covergen.pipeline.model import ModelChoice

    names = [field.name for field in fields(ModelChoice)]
    return ModelChoice(**{name: options[name] for name in names if name in options})


def paint_choice(preset: Preset, options: dict[str, Any]) -> PaintOptions:
    """Return how to paint with a preset, from the parsed options."""
    from covergen.pipeline.options import PaintOptions

    dtype = options["dtype"]
    if dtype == "auto" and options.get("quality") == "reference":
        dtype = "fp32"
    return PaintOptions(
        preset=preset,
        device=options["device"],
        dtype=dtype,
        workers=options["jobs"],
        batch_size=options["batch_size"],
        lora_rank=options["lora_rank"],
        size=_paint_size(options),
    )


def _paint_size(options: dict[str, Any]) -> int | None:
    """Return the size to paint at: the largest that is written, unless it is given."""
    sizes = []
    if "image_format" in options:
        sizes.append(encoding_choice(options).size)
    if options.get("sidecar_purpose"):
        sizes.append(PURPOSES[options["sidecar_purpose"]].size)
    return options["paint_size"] or max(filter(None, sizes), default=None)


def scan_choice(options: dict[str, Any], per: Literal["album", "track"] = "album") -> ScanOptions:
    """Return how to scan paths, from the parsed options."""
    from covergen.library.scanning.scan import ScanOptions

    return ScanOptions(
        exclude=options["exclude"],
        follow_symlinks=options["follow_symlinks"],
        per=per,
        cover_names=options.get("cover_names", COVER_NAMES),
    )


def output_choice(options: dict[str, Any]) -> Renderer:
    """Return the renderer for the parsed output options."""
    return Renderer(as_json=options["as_json"], quiet=options["quiet"], verbose=options["verbose"])


def rewrite_choice(options: dict[str, Any]) -> RewriteOptions:
    """Return how to replace files, from the parsed options."""
    from covergen.library.writing.rewrite import RewriteOptions

    return RewriteOptions(
        preserve_mtime=options["preserve_mtime"],
        hardlinks=options["hardlinks"],
        min_age_seconds=options["min_age"],
    )


def write_choice(options: dict[str, Any]) -> WriteOptions:
    """Return where covers are written. Raises UsageError if the options leave nothing to write."""
    from covergen.pipeline.options import WriteOptions

    purpose = options["sidecar_purpose"]
    sidecar = options["sidecar"] or purpose is not None
    if options["no_embed"] and not sidecar:
        raise UsageError("--no-embed requires --sidecar: otherwise nothing is written.")
    return WriteOptions(
        embed=not options["no_embed"],
        sidecar=sidecar,
        encoding=encoding_choice(options),
        sidecar_encoding=PURPOSES[purpose] if purpose else None,
        rewrite=rewrite_choice(options),
        journal=not options["no_journal"],
    )


def encoding_choice(options: dict[str, Any]) -> Encoding:
    """Return how to encode pictures, from the parsed options."""
    from covergen.core.picture import Encoding

    given = {
        "format": options["image_format"],
        "size": options["size"],
        "quality": options["jpeg_quality"],
        "max_bytes": options["max_bytes"],
    }
    purpose = PURPOSES[options["purpose"]] if options["purpose"] else Encoding()
    return replace(purpose, **{name: value for name, value in given.items() if value is not None})
