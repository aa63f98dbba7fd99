"""Format events and plans as text. Pure functions without output."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from covergen.cli.output.terminal import shortened
from covergen.core.album import Action, Album, AlbumPlan, Outcome
from covergen.core.cover import PRINTS, Provenance, Sampling
from covergen.core.cover_encoding import Encoding
from covergen.core.reasons import Reason
from covergen.pipeline.events import AlbumDone

if TYPE_CHECKING:
    from covergen.pipeline.options import WriteOptions
    from covergen.pipeline.time_estimate import Rates
    from covergen.pipeline.totals import PlanTotals, Tally


_USUAL_SIDE = 512  # pixels: what Stable Diffusion 1.5 and the starter paint

_OPTIONS = {
    Reason.FORCED: "--force",
    Reason.PARTIAL_ART: "--fill and --force",
    Reason.LIMIT: "--limit",
    Reason.RETRY: "covergen preview --retry",
    Reason.OUTPUT_EXISTS: "--force",
    Reason.PAINTED_COVER: "--include-painted",
    Reason.OTHER_LICENSE: "--license",
    Reason.IGNORED: "-v",
    Reason.TOO_NEW: "--min-age",
    Reason.HARD_LINKED: "--hardlinks",
}

_COLORS = {
    "paint": "green",
    "painted": "green",
    "write": "green",
    "written": "green",
    "fill": "cyan",
    "filled": "cyan",
    "partly": "yellow",
    "failed": "red",
}


def shown(text: str | os.PathLike[str], *, keep: str = "") -> str:
    """Make a name safe to print: escape line breaks, control characters and undecodable bytes.

    The characters in `keep` are not escaped.
    """
    return "".join(c if _is_shown(c) or c in keep else _escaped(c) for c in os.fspath(text))


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # wide spaces


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def reason_text(reason: Reason, count: int = 1) -> str:
    """Explain a reason of `count` things, and name the options that change the outcome."""
    text = reason.text if count == 1 else reason.plural
    options = _OPTIONS.get(reason)
    return f"{text}: see {options}" if options else text


def plan_line(plan: AlbumPlan, width: int | None = None) -> str:
    """Format what would be done with an album, and why; its name is shortened to fit `width`."""
    return _columns(plan.action.value, plan.reason, plan.album, width)


def album_line(done: AlbumDone, width: int | None = None) -> str:
    """Format what was done with an album, and why; its name is shortened to fit `width`."""
    return _columns(done.result, done.reason, done.plan.album, width)


def _columns(verb: str, reason: Reason, album: Album, width: int | None) -> str:
    tracks = counted(len(album.tracks), "track")
    word = click.style(f"{verb:<10}", fg=_COLORS.get(verb), dim=verb.startswith("skip"))
    cause = cause_of(reason, album)
    name = f"{album_name(album)}{f': {shown(cause)}' if cause else ''}"
    start = f"{word}{reason.value:<16}{tracks:>10}  "
    return start + (shortened(name, width - len(click.unstyle(start))) if width else name)


def cause_of(reason: Reason, album: Album) -> str:
    """Return the picture file behind a reason, relative to the album's folder, or ""."""
    embedded = any(track.has_art for track in album.tracks)
    of_file = reason in (Reason.HAS_ART, Reason.FILLED, Reason.FORCED) and not embedded
    file = album.broken_file if reason is Reason.BROKEN_COVER else album.cover_file
    if file is None or not (of_file or reason is Reason.BROKEN_COVER):
        return ""
    return file_name(file, album)


def file_name(file: Path, album: Album) -> str:
    """Return a file's path, relative to the album's folder if it is inside."""
    inside = file.is_relative_to(album.folder)
    return str(file.relative_to(album.folder) if inside else file)


def album_name(album: Album) -> str:
    """Return an album's artist, title and year, as far as known."""
    title = album.title or album.folder.name
    named = f"{album.artist} – {title}" if album.artist else title
    return shown(f"{named} ({album.date[:4]})" if album.date else named)


def outcome_line(outcome: Outcome) -> str:
    """Format the outcome for a file."""
    status, reason = outcome.status.value, outcome.reason.value
    word = click.style(f"{status:<10}", fg=_COLORS.get(status))
    code = "" if reason == status else f"{reason:<16}"
    text = outcome.message or (reason_text(outcome.reason) if code else "")
    return f"{word}{code}{shown(outcome.path)}{': ' if text else ''}{shown(text)}"


def totals_lines(totals: PlanTotals, noun: str = "album") -> Iterator[str]:
    """Format the totals of a plan, by action and reason. `noun` is what is planned for."""
    for (action, reason), count in sorted(totals.albums.items()):
        files = counted(totals.tracks[action, reason], "file")
        yield f"{_sum(action.value, count, noun)}{files:>15}  {reason_text(reason, count)}"
    for (status, cause), count in sorted(totals.files.items()):
        text = _cause_text(cause, count, totals.bare)
        yield f"{_sum(status.value, 0, '')}{counted(count, _noun(cause)):>15}  {text}"
    if totals.small_covers:
        yield (
            f"Covers above 64 KiB are embedded in {counted(totals.small_covers, 'WMA file')} as"
            " smaller JPEGs, since most players do not show larger ones."
        )


def cost_line(totals: PlanTotals, write: WriteOptions, rates: Rates | None) -> str:
    """Format the time and disk space a plan needs: as measured by the last run, or at most."""
    from covergen.pipeline.time_estimate import seconds_needed

    resumed = totals.albums[Action.FILL, Reason.RESUMED]
    cover_files = totals.covers + resumed if write.sidecar else 0
    files = (totals.targets if write.embed else 0) + cover_files
    if rates:
        time = f"about {duration(seconds_needed(totals, rates))}"
        added = totals.added_bytes(rates.bytes_per_cover) if write.embed else 0
        size = f"about {byte_size(added + cover_files * rates.bytes_per_cover)}"
    else:
        embedded, beside = map(_most_bytes, write.encodings)
        most = (totals.added_bytes(embedded) if write.embed else 0) + (
            totals.covers * beside if write.sidecar else 0
        )
        time = "known after the first run" if totals.covers else "a moment"
        size = f"at most {byte_size(most)}"
    work = f"{counted(totals.covers, 'cover')}, {counted(files, 'file')} to write"
    return f"{work}; time: {time}; added disk space: {size}"


def _most_bytes(encoding: Encoding) -> int:
    side = encoding.size or _USUAL_SIDE
    return min(3 * side * side, encoding.max_bytes or 3 * side * side)


def tally_lines(tally: Tally, noun: str = "album") -> Iterator[str]:
    """Format the totals of a run. `noun` is what each result is for."""
    for (result, reason), count in sorted(tally.albums.items()):
        yield f"{_sum(result, count, noun)}  {reason_text(reason, count)}"
    for (status, cause), count in sorted(tally.files.items()):
        yield f"{_sum(status.value, count, _noun(cause))}  {_cause_text(cause, count, tally.bare)}"


def _noun(reason: Reason) -> str:
    return "path" if reason is Reason.IGNORED else "file"  # whole folders may be ignored


def _cause_text(cause: Reason, count: int, bare: Counter[str]) -> str:
    if cause is not Reason.BARE:
        return reason_text(cause, count)
    return f"{cause.text}: {', '.join(f'{kind} ({n:,})' for kind, n in sorted(bare.items()))}"


def _sum(verb: str, count: int, noun: str) -> str:
    return f"{verb:<10}{counted(count, noun) if noun else '':>14}"


def counted(count: int, noun: str) -> str:
    """Format a count with its noun: "1 file", "1,200 files"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Format a duration: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def byte_size(count_bytes: float) -> str:
    """Format a size to three significant digits: "512 kB", "1.5 GB"."""
    rounded = float(f"{count_bytes:.3g}")
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if rounded >= size:
            return f"{rounded / size:.3g} {unit}"
    return f"{rounded / 1e3:.3g} kB"


def sampling_text(sampling: Sampling | Provenance, *, procedural: bool) -> str:
    """Describe sampling settings in a few words; those of diffusion only where it is used."""
    text = "drawn by rules" if procedural else _diffusion_text(sampling)
    if sampling.finish != "none":
        text += f", finish {sampling.finish}"
    if sampling.finish in PRINTS:
        text += f", up to {sampling.inks} inks"
    if sampling.title != "none":
        text += f", title {sampling.title}"
    return text


def _diffusion_text(sampling: Sampling | Provenance) -> str:
    text = (
        f"{sampling.scheduler}, {counted(sampling.steps, 'step')}, guidance {sampling.guidance:g}"
    )
    if (sampling.guided_from, sampling.guided_until) != (0, 1):
        text += f" from {sampling.guided_from:.0%} to {sampling.guided_until:.0%} of the steps"
    if sampling.reuse > 1:
        text += f", full UNet every {sampling.reuse} steps"
    return text
