"""Options that several commands share, each written once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from covergen.cli.numbers import Number, WholeNumber
from covergen.cli.output.progress import Renderer
from covergen.core.errors import UsageError
from covergen.core.types import FINISHES, PADDINGS, QUALITIES, SCHEDULERS
from covergen.library.scanning.folder_names import COVER_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from covergen.core.picture import Encoding
    from covergen.library.scanning.scan import ScanOptions
    from covergen.library.writing.rewrite import RewriteOptions
    from covergen.models.presets import Preset
    from covergen.pipeline.model import ModelChoice
    from covergen.pipeline.options import PaintOptions, WriteOptions

__all__ = [
    "base_option",
    "clap_options",
    "compute_options",
    "cover_names_option",
    "encoding_choice",
    "encoding_options",
    "follow_symlinks_option",
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

Command = TypeVar("Command", bound="Callable[..., Any]")


class _Device(click.ParamType[str]):
    """A device by PyTorch's name, or "auto"."""

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
        """None for "auto"."""
        if value is None or value == "auto":
            return None
        number = int(str(value)) if str(value).isdecimal() else 0
        if number < 1:
            self.fail(f"{value!r} is neither 'auto' nor a whole number of at least 1.", param, ctx)
        return number


class _CoverGlob(click.ParamType[str]):
    """A glob of a file's name, or of a sub-folder's and a file's."""

    name = "glob"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The glob as it is."""
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
    "--json", "as_json", is_flag=True, help="Print JSON Lines: an object an album, then a summary."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print failures and totals alone.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Print a line for each file.")
jobs_option = click.option(
    "-j",
    "--jobs",
    type=WholeNumber(1, 64),
    default=min(4, os.cpu_count() or 1),
    metavar="N",
    show_default="cores, at most 4",
    help="How many tracks are decoded at once.",
)
seed_option = click.option(
    "--seed",
    type=WholeNumber(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Another seed, other covers.",
)
base_option = click.option("--base", metavar="NAME|DIR", help="Another base than the model's.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask before writing.")

follow_symlinks_option = click.option(
    "--follow-symlinks", is_flag=True, help="Follow links also where they lead out of the library."
)

cover_names_option = click.option(
    "--cover-names",
    type=_CoverGlob(),
    metavar="GLOB",
    multiple=True,
    default=COVER_NAMES,
    help="Names that cover files have, instead of the usual ones: covergen config lists them. "
    "FOLDER/NAME is one in a sub-folder, <album> the album's title. Repeatable.",
)

scan_options = _together(
    click.option(
        "--exclude",
        metavar="GLOB",
        multiple=True,
        help="Pass over files and folders whose name, or path below PATH, matches. Repeatable.",
    ),
    follow_symlinks_option,
)

clap_options = _together(
    click.option(
        "-m",
        "--model",
        metavar="NAME",
        help="A model's name.  [default: starter, or none if all parts are given]",
    ),
    click.option("--clap", metavar="NAME|DIR", help="Another CLAP than the model's."),
    click.option(
        "--windows",
        type=WholeNumber(1, 100),
        metavar="N",
        help="Stretches of 10 s heard of each track.  [default: the model's]",
    ),
    click.option(
        "--padding",
        type=click.Choice(PADDINGS),
        help="What follows a track shorter than 10 s: itself again, or silence."
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
        help="Where to compute: auto, cpu, cuda, cuda:N for the N-th GPU from 0, or mps.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        default="auto",
        show_default=True,
        help="Precision. auto: bf16 or fp16 on a GPU, fp32 on the CPU.",
    ),
    jobs_option,
)

paint_options = _together(
    clap_options,
    click.option(
        "--adapter", metavar="FILE", help="An adapter, covergen's own or art-from-audio's."
    ),
    base_option,
    click.option(
        "--lora-rank",
        type=WholeNumber(1),
        metavar="N",
        help="The rank that the adapter must have. Files know theirs: this only checks.",
    ),
    click.option(
        "--steps",
        type=WholeNumber(1, 1000),
        metavar="N",
        help="Denoising steps.  [default: the model's]",
    ),
    click.option(
        "--guidance",
        type=Number(0, 100),
        metavar="X",
        help="Classifier-free guidance; up to 1 is none.  [default: the model's]",
    ),
    click.option(
        "--scheduler", type=click.Choice(SCHEDULERS), help="Sampler.  [default: the model's]"
    ),
    click.option(
        "--guided-from",
        type=Number(0, 1),
        metavar="X",
        help="Guide from this share of the steps on.  [default: the model's]",
    ),
    click.option(
        "--guided-until",
        type=Number(0, 1),
        metavar="X",
        help="Guide until this share of them; the others cost half.  [default: the model's]",
    ),
    click.option(
        "--reuse",
        type=WholeNumber(1, 10),
        metavar="N",
        help="Compute the whole UNet at every N-th step alone.  [default: the model's]",
    ),
    click.option(
        "--quality",
        type=click.Choice(QUALITIES),
        default="standard",
        show_default=True,
        help="Quick, as the model has it, slow, or exactly as art-from-audio. Options of their own"
        " take precedence.",
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
        help="print: flat inks with sharp edges at any size; paper: the same on grained paper."
        "  [default: the model's]",
    ),
    click.option(
        "--inks",
        type=WholeNumber(2, 24),
        metavar="N",
        help="Most inks that a print uses.  [default: the model's]",
    ),
    click.option(
        "--batch-size",
        type=_BatchSize(),
        default="auto",
        show_default=True,
        metavar="N|auto",
        help="Covers painted at once.",
    ),
    compute_options,
)

encoding_options = _together(
    click.option(
        "--format",
        "image_format",
        type=click.Choice(["png", "jpeg"]),
        default="png",
        show_default=True,
        help="Kind of picture.",
    ),
    click.option(
        "--size",
        type=WholeNumber(16, 4096),
        metavar="N",
        help="Side in pixels.  [default: as painted; 1024 for prints]",
    ),
    click.option(
        "--jpeg-quality",
        type=WholeNumber(1, 95),
        default=90,
        show_default=True,
        metavar="N",
        help="JPEG quality.",
    ),
)

rewrite_options = _together(
    click.option("--preserve-mtime", is_flag=True, help="Keep the files' modification times."),
    click.option(
        "--hardlinks",
        type=click.Choice(["skip", "break"]),
        default="skip",
        show_default=True,
        help="Files with several hard links: leave alone, or detach from the others.",
    ),
    click.option(
        "--min-age",
        type=WholeNumber(0),
        default=0,
        show_default=True,
        metavar="SECONDS",
        help="Skip files that were modified less than this long ago.",
    ),
)

journal_option = click.option(
    "--no-journal", is_flag=True, help="Keep no record; it cannot be undone then."
)

write_options = _together(
    encoding_options,
    click.option(
        "--sidecar", is_flag=True, help="Also write cover.png, never over an existing one."
    ),
    click.option("--no-embed", is_flag=True, help="Leave the music files alone; with --sidecar."),
    journal_option,
    rewrite_options,
)


def model_choice(options: dict[str, Any]) -> ModelChoice:
    """What the shared options say of the model."""
    from dataclasses import fields

    from covergen.pipeline.model import ModelChoice

    names = [field.name for field in fields(ModelChoice)]
    return ModelChoice(**{name: options[name] for name in names if name in options})


def paint_choice(preset: Preset, options: dict[str, Any]) -> PaintOptions:
    """What the shared options say of painting with a preset."""
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
        size=options.get("size"),
    )


def scan_choice(options: dict[str, Any], per: Literal["album", "track"] = "album") -> ScanOptions:
    """What the shared options say of how paths are scanned."""
    from covergen.library.scanning.scan import ScanOptions

    return ScanOptions(
        exclude=options["exclude"],
        follow_symlinks=options["follow_symlinks"],
        per=per,
        cover_names=options.get("cover_names", COVER_NAMES),
    )


def output_choice(options: dict[str, Any]) -> Renderer:
    """What the shared options say of output."""
    return Renderer(as_json=options["as_json"], quiet=options["quiet"], verbose=options["verbose"])


def rewrite_choice(options: dict[str, Any]) -> RewriteOptions:
    """What the shared options say of how files are replaced."""
    from covergen.library.writing.rewrite import RewriteOptions

    return RewriteOptions(
        preserve_mtime=options["preserve_mtime"],
        hardlinks=options["hardlinks"],
        min_age_seconds=options["min_age"],
    )


def write_choice(options: dict[str, Any]) -> WriteOptions:
    """What the shared options say of where covers go. Raises UsageError where that is nowhere."""
    from covergen.pipeline.options import WriteOptions

    if options["no_embed"] and not options["sidecar"]:
        raise UsageError("--no-embed leaves nothing to write: add --sidecar.")
    return WriteOptions(
        embed=not options["no_embed"],
        sidecar=options["sidecar"],
        encoding=encoding_choice(options),
        rewrite=rewrite_choice(options),
        journal=not options["no_journal"],
    )


def encoding_choice(options: dict[str, Any]) -> Encoding:
    """What the shared options say of picture files."""
    from covergen.core.picture import Encoding

    return Encoding(
        format=options["image_format"], size=options["size"], quality=options["jpeg_quality"]
    )
