"""Checks of a music library after any fault, without using covergen's own code."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.media.oracle import decoded_hash, front_cover, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.faults.command import Ended

__all__ = ["Look", "broken", "look", "misbehaved", "strays", "uncovered"]

_CODES = (0, 1, 2, -signal.SIGKILL)
_TEMPORARY = re.compile(r"\.covergen-.*\.(tmp|part)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file: the hash of its content, and its metadata."""

    content: str
    mode: int
    owner: tuple[int, int]
    attributes: tuple[tuple[str, bytes], ...]
    mtime_ns: int


Look = dict[str, Seen]
"""All files below a folder by name, including links, without folders."""


def look(folder: Path) -> Look:
    """Return the current content of a folder."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return {str(path.relative_to(folder)): _seen(path) for path in files}


def broken(now: Look, *allowed: Look, times: bool = False) -> Iterator[str]:
    """Yield a message for each file that is in none of the allowed states, except temporary files.

    `times`: compare modification times too.
    """
    names = {name for one in (now, *allowed) for name in one}
    for name in sorted(names - strays(now)):
        states = [_plain(one.get(name), times=times) for one in allowed]
        if _plain(now.get(name), times=times) not in states:
            wanted = " or ".join(_describe(one.get(name)) for one in allowed)
            yield f"{name} is {_describe(now.get(name))}, not {wanted}"


def strays(now: Look) -> set[str]:
    """Temporary files that this run or the next one must delete."""
    return {name for name in now if _TEMPORARY.fullmatch(Path(name).name)}


def uncovered(
    before: Path, after: Path, cover: bytes | None, songs: Iterable[str] | None = None
) -> Iterator[str]:
    """Yield the differences of the songs in `after` from those in `before`, except the cover.

    Checks all songs in `before`, or only `songs`: audio as decoded by FFmpeg, tags as read by
    mutagen, and the picture as read by both.
    """
    for song in sorted(before.iterdir() if songs is None else map(before.joinpath, songs)):
        new = after / song.relative_to(before)
        if decoded_hash(new) != decoded_hash(song):
            yield f"the audio of {song.name} changed"
        if texts(new) != texts(song):
            yield f"the tags of {song.name} changed"
        if front_cover(new) != cover:
            yield f"{song.name} has another cover"


def misbehaved(ended: Ended | None) -> Iterator[str]:
    """Yield a message for a traceback or an unexpected exit code."""
    if ended is None:
        yield "the command stopped"
        return
    text = ended.stdout + ended.stderr
    if "Traceback" in text:
        places = re.findall(r'File ".*/(covergen/.*)", line (\d+)', text)
        yield f"a traceback: {text.splitlines()[-1]} at {':'.join(places[-1])}"
    elif ended.code not in _CODES:
        yield f"it ended with {ended.code}: {ended.stderr[-300:]}"


def _seen(path: Path) -> Seen:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        content = f"-> {path.readlink()}"
    else:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    attributes: Mapping[str, bytes] = {}
    with suppress(OSError):
        names = sorted(os.listxattr(path, follow_symlinks=False))
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    return Seen(
        content=content,
        mode=status.st_mode,
        owner=(status.st_uid, status.st_gid),
        attributes=tuple(attributes.items()),
        mtime_ns=status.st_mtime_ns,
    )


def _plain(seen: Seen | None, *, times: bool) -> Seen | None:
    return seen if seen is None or times else replace(seen, mtime_ns=0)


def _describe(seen: Seen | None) -> str:
    if seen is None:
        return "missing"
    return f"{seen.content[:12]} {seen.mode:o} {seen.owner} {dict(seen.attributes)} {seen.mtime_ns}"
