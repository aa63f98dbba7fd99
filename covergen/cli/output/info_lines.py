"""Format the results of `covergen info` as text. Pure functions without output."""

from __future__ import annotations

import os
import shlex
import string
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from covergen.cli.output.lines import (
    album_name,
    byte_size,
    cause_of,
    counted,
    duration,
    file_name,
    reason_text,
    sampling_text,
    shown,
)
from covergen.core.album import Action, AlbumPlan, Track
from covergen.core.cover import Provenance
from covergen.models.sources import PROCEDURAL

if TYPE_CHECKING:
    from covergen.jobs.info import AlbumInfo, FileInfo, PictureInfo
    from covergen.journal.schema import Run
    from covergen.pipeline.repaint_command import Option, Repaint
    from covergen.preview.find_cover import PreviewCover


_UNQUOTED = frozenset(string.printable[:94]) - {"'", "\\"} | {" "}
_KINDS = {0: "picture", 1: "icon", 2: "icon", 3: "front cover", 4: "back cover"}


def info_lines(info: FileInfo | AlbumInfo) -> Iterator[str]:
    """Yield a heading and one line per property of a file or album."""
    from covergen.jobs.info import FileInfo

    if isinstance(info, FileInfo):
        yield shown(info.path)
        rows = _file_rows(info)
    else:
        yield album_name(info.plan.album)
        rows = _album_rows(info)
    for label, text in rows:
        yield f"  {label:<11}  {shown(text)}"


def _file_rows(info: FileInfo) -> Iterator[tuple[str, str]]:
    if info.track:
        yield "track", _track(info.track)
    for picture in info.pictures:
        yield _KINDS.get(picture.kind, f"picture {picture.kind}"), _picture(picture)
    if not info.pictures:
        yield "cover", _no_cover(info.track)
    if any(picture.own for picture in info.pictures) and info.provenance is None:
        yield "painted by", "covergen, but the picture's provenance is damaged"
    if info.run:
        yield "run", _run(info.run)
    if info.journal_fault:
        yield "run", f"unknown: {' '.join(info.journal_fault.split())}"
    if info.preview:
        yield from _preview_rows(info.preview)
    if info.provenance:
        yield from _provenance_rows(info.provenance)
    if info.repaint:
        yield from _repaint_rows(info.repaint)


def _track(track: Track) -> str:
    names = [name for name in (track.artist, track.title, track.album) if name]
    parts = [track.container, duration(track.duration_seconds), " – ".join(names)]
    return ", ".join(filter(None, parts))


def _picture(picture: PictureInfo) -> str:
    painter = "painted by covergen" if picture.own else "not by covergen"
    if not picture.mime:
        return f"unreadable, {byte_size(picture.size_bytes)}, {painter}"
    dimensions = f"{picture.width} × {picture.height}"
    return f"{picture.mime}, {dimensions}, {byte_size(picture.size_bytes)}, {painter}"


def _no_cover(track: Track | None) -> str:
    if track and track.has_art:
        return "in an APEv2 tag after the audio, which covergen does not change"
    return "none"


def _run(run: Run) -> str:
    started = datetime.fromtimestamp(run.started).astimezone()
    return f"{run.id}: {run.action}, {started:%Y-%m-%d %H:%M}"


def _preview_rows(cover: PreviewCover) -> Iterator[tuple[str, str]]:
    page = cover.folder / "index.html"
    command = f"covergen apply {_shell_word(str(cover.folder))}"
    yield "album", album_name(cover.album)
    yield "preview", f"cover {cover.number} of {cover.covers}"
    if cover.number == 1:
        yield "apply", command
        yield "", f"This writes the first cover of each album. To choose others, open {page}."
    else:
        yield "apply", f"{command} --choices FILE"
        yield "", f"To get FILE, open {page}, choose this cover and save."


def _provenance_rows(provenance: Provenance) -> Iterator[tuple[str, str]]:
    yield "model", f"{provenance.model}, by covergen {provenance.version}"
    revision = f", revision {provenance.revision}" if provenance.revision else ""
    yield "base", f"{provenance.base}{revision}"
    yield "CLAP", provenance.clap
    no_adapter = provenance.adapter == "none"
    yield "adapter", "none" if no_adapter else f"SHA-256 {provenance.adapter}"
    for label, text in (("LoRAs", provenance.loras), ("VAE", provenance.vae)):
        if text:
            yield label, text
    sampling = sampling_text(provenance, procedural=provenance.base == PROCEDURAL)
    yield "sampling", f"{sampling}; {provenance.windows} windows of 10 s per track"
    for label in ("style", "negative", "prompt"):
        if text := getattr(provenance, label):
            yield label, text
    yield "seed", str(provenance.seed)
    yield "key", provenance.album_key


def command_words(repaint: Repaint) -> list[str]:
    """Return the words of a command that paints a cover again."""
    options = option_words(repaint.options)
    return ["covergen", repaint.command, *options, *map(str, repaint.paths)]


def option_words(options: Mapping[str, Option]) -> list[str]:
    """Spell options as on the command line; a value to be supplied is spelled as its NAME."""
    words = []
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words.append(name.upper() if value is None else str(value))
    return words


def _repaint_rows(repaint: Repaint) -> Iterator[tuple[str, str]]:
    if repaint.command:
        yield "again", " ".join(map(_shell_word, command_words(repaint)))
    for proviso in repaint.provisos:
        yield "", proviso


def _shell_word(word: str) -> str:
    """Quote a word for a POSIX shell, with unprintable characters escaped."""
    if shown(word) == word:
        return shlex.quote(word)
    escaped = (chr(b) if chr(b) in _UNQUOTED else f"\\{b:03o}" for b in os.fsencode(word))
    return f"$'{''.join(escaped)}'"


def _album_rows(info: AlbumInfo) -> Iterator[tuple[str, str]]:
    album = info.plan.album
    yield "folder", str(album.folder)
    yield "key", album.key
    yield "tracks", _covers_text(info)
    if album.cover_file:
        own = ", painted by covergen" if info.own_cover_file else ""
        yield "cover file", f"{file_name(album.cover_file, album)}{own}"
    if album.broken_file:
        yield "cover file", f"{file_name(album.broken_file, album)}, which is not a picture"
    if info.words:
        yield "words", ", ".join(word.name for word in info.words)
    yield "tag", _plan_text(info.plan)
    for outcome in info.plan.hindered:
        yield "", f"except {outcome.path} ({outcome.reason.value}: {reason_text(outcome.reason)})"
    for other in info.alternatives:
        yield "", f"with {' '.join(option_words(other.options))}: {_plan_text(other.plan)}"


def _covers_text(info: AlbumInfo) -> str:
    tracks = info.plan.album.tracks
    covered = sum(track.has_art for track in tracks)
    own = sum(track.own_art for track in tracks)
    with_art = (
        f"{covered or 'none'} with a picture" if covered < len(tracks) else "all with a picture"
    )
    painted = f", {own} painted by covergen" if own else ""
    return f"{len(tracks)}, {with_art}{painted}"


def _plan_text(plan: AlbumPlan) -> str:
    files = counted(len(plan.targets), "file")
    match plan.action:
        case Action.PAINT:
            action = f"paints a cover for {files}"
        case Action.FILL:
            where = files if plan.targets else "a cover file"
            action = f"copies a cover to {where}"
        case _:
            action = "skips it"
    cause = cause_of(plan.reason, plan.album) or reason_text(plan.reason)
    return f"{action} ({plan.reason.value}: {cause})"
