"""Help pages in sections, with rarely used options behind --help-all."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

Sections = Mapping[str, Sequence[str]]
"""Headings of a help page, each with the names of its parameters in order."""

ADVANCED = "Advanced"
"""The section that only --help-all shows."""

SECTIONS: Sections = {
    "What to cover": ("per", "force", "fill", "limit", "albums", "exclude"),
    "Preview": ("candidates", "retry", "no_audio", "choices", "libraries"),
    "Picture": (
        "quality", "styles", "negative", "finish", "title", "seed", "purpose", "size",
    ),
    "Model": ("model", "adapter", "base"),
    "Speed": ("device", "jobs"),
    "Files": ("sidecar", "no_embed"),
    "Output": (
        "output", "dry_run", "yes", "quiet", "verbose", "as_json", "help", "help_all",
    ),
    ADVANCED: (
        "steps", "guidance", "guided_from", "guided_until", "reuse", "scheduler", "inks",
        "clap", "windows", "padding", "dtype", "batch_size", "paint_size", "image_format",
        "jpeg_quality", "max_bytes", "sidecar_purpose", "artists", "artist_name", "cover_names",
        "follow_symlinks", "hardlinks", "min_age", "preserve_mtime", "no_journal", "engine",
        "ray_address", "path_map",
    ),
}  # fmt: skip

_FIRST_COLUMN = 26  # characters that an option and its metavar may take


class SectionedCommand(click.Command):
    """A command whose help page lists its options under headings.

    If it has advanced options, --help leaves them out and --help-all lists them.
    """

    def __init__(self, *args: Any, sections: Sections = SECTIONS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        if not {str(param.name) for param in self.params}.isdisjoint(sections.get(ADVANCED, ())):
            self.params.append(_help_all_option())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that have options, with their columns aligned."""
        options = {str(param.name): param for param in self.params}
        if (help_option := self.get_help_option(ctx)) is not None:
            options["help"] = help_option  # which Click gives an internal name
        rows = {name: row for name, o in options.items() if (row := o.get_help_record(ctx))}
        sections = {
            title: [rows[name] for name in names if name in rows]
            for title, names in self.sections.items()
            if title != ADVANCED or _shows_all(ctx)
        }
        widest = max(len(flags) for section in sections.values() for flags, _ in section)
        width = min(_FIRST_COLUMN, widest)
        for title, section in sections.items():
            if section:
                with formatter.section(title):
                    padded = [(f"{flags:<{width}}", text) for flags, text in section]
                    formatter.write_dl(padded, col_max=_FIRST_COLUMN)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say how to list the advanced options, if there are any that are not shown."""
        super().format_epilog(ctx, formatter)
        if not _shows_all(ctx) and any(param.name == "help_all" for param in self.params):
            formatter.write_paragraph()
            formatter.write_text(f"For rarely used options: {ctx.command_path} --help-all")


def _help_all_option() -> click.Option:
    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_all,
        help="Show all options and exit.",
    )


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[__name__] = param.name
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _shows_all(ctx: click.Context) -> bool:
    return __name__ in ctx.meta
