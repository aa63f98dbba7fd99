"""The beets plugin: paint covers for albums that are still without art.

It is installed as `beetsplug.covergen`. It runs `covergen tag --json` as a command, so that beets
does not import PyTorch, and covergen may live in an environment of its own. Nothing of covergen is
imported here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from beets.plugins import BeetsPlugin
from beets.ui import Subcommand, UserError, print_
from beets.util import syspath

if TYPE_CHECKING:
    import optparse

    from beets.library import Album, Library


_ALBUMS_AT_ONCE = 200  # a command line has a limited length; each run loads the model once
_WRONG_USE = 2
_MUSIC = (
    ".aac", ".aif", ".aiff", ".alac", ".ape", ".dff", ".dsf", ".flac", ".m4a", ".m4b", ".mka",
    ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".spx", ".tta", ".wav", ".wma", ".wv",
)  # fmt: skip


class _Done(NamedTuple):
    """What covergen did with an album, or would do: a line of its output."""

    title: str
    reason: str
    result: str
    paths: list[bytes]
    written: set[bytes]


class CovergenPlugin(BeetsPlugin):
    """`beet covergen`, and covers after an import."""

    def __init__(self) -> None:
        super().__init__("covergen")
        self.config.add({"auto": True, "command": "covergen", "args": [], "sidecar": True})
        self._imported: list[Album] = []
        if self.config["auto"].get(bool):
            # Sent after fetchart and embedart have had their turn.
            self.register_listener("album_imported", self._note_import)
            self.register_listener("import", self._paint_imported)

    def commands(self) -> list[Subcommand]:
        """Return the command that this plugin adds."""
        command = Subcommand("covergen", help="paint covers for albums without art")
        command.parser.add_option(
            "-p", "--pretend", action="store_true", help="show what would be done"
        )
        command.func = self._run_command
        return [command]

    def _run_command(self, lib: Library, options: optparse.Values, query: list[str]) -> None:
        albums = [album for album in lib.albums(query) if not _has_art(album)]
        if not albums:
            print_("No albums without art.")
        failed = self._paint(albums, pretend=bool(options.pretend))
        if failed:
            raise UserError(f"covergen: {failed} albums could not be covered completely")

    def _note_import(self, lib: Library, album: Album) -> None:  # noqa: ARG002 - passed by name
        self._imported.append(album)

    def _paint_imported(self, lib: Library, paths: Sequence[bytes]) -> None:  # noqa: ARG002 - as above
        """Paint after the whole import, so that the model is loaded once. Never fails it."""
        imported, self._imported = self._imported, []
        for album in imported:
            album.load()
        try:
            self._paint([album for album in imported if not _has_art(album)], pretend=False)
        except UserError as error:
            self._log.error("{}", error)

    def _paint(self, albums: Sequence[Album], *, pretend: bool) -> int:
        """Run covergen on the albums; return the number of those that failed.

        Raises UserError if covergen cannot be run.
        """
        failed = 0
        remaining = iter(albums)
        while batch := list(islice(remaining, _ALBUMS_AT_ONCE)):
            album_of = {item.path: album for album in batch for item in album.items()}
            paths = [path for album in batch for path in _paths_of(album)]
            for done in self._covergen(paths, pretend=pretend):
                if pretend:
                    print_(f"{done.title}: {done.reason}, {len(done.paths)} files to write")
                else:
                    self._log.info("{}: {} ({})", done.title, done.result, done.reason)
                failed += done.result in ("failed", "partly")
                if album := next((album_of[p] for p in done.paths if p in album_of), None):
                    _store(album, done.written)
        return failed

    def _covergen(self, paths: Sequence[bytes], *, pretend: bool) -> Iterator[_Done]:
        options = self.config["args"].as_str_seq()
        options += ["--sidecar"] if self.config["sidecar"].get(bool) else []
        options += ["--dry-run"] if pretend else ["--yes"]
        words = [*self._command(), "tag", "--json", *options, "--", *map(syspath, paths)]
        try:
            with subprocess.Popen(words, stdout=subprocess.PIPE) as process:  # noqa: S603 - no shell, and the user's own configuration
                yield from filter(None, map(_read, process.stdout or ()))
        except OSError as error:
            raise UserError(f"covergen cannot be started: {error}") from error
        if process.returncode >= _WRONG_USE or process.returncode < 0:
            raise UserError(f"covergen ended with exit code {process.returncode}")

    def _command(self) -> list[str]:
        """Return the command, preferably of the environment in which beets runs."""
        words: list[str] = self.config["command"].as_str_seq()
        beside = os.path.join(os.path.dirname(sys.executable), words[0])
        found = shutil.which(beside) or shutil.which(words[0])
        if found is None:
            raise UserError(
                f"covergen: there is no command {words[0]!r}; install covergen, or set its path as"
                " `command` in the section `covergen` of the configuration"
            )
        return [found, *words[1:]]


def _has_art(album: Album) -> bool:
    return bool(album.artpath) and os.path.isfile(syspath(album.artpath))


def _paths_of(album: Album) -> list[bytes]:
    """Return the album's folder if there is no other music in it, otherwise its tracks."""
    paths = {item.path for item in album.items()}
    folders = {os.path.dirname(path) for path in paths}
    root = os.path.commonpath(folders) if folders else b""
    near = all(root in (folder, os.path.dirname(folder)) for folder in folders)
    alone = near and all(path in paths for path in _music_below(root))
    return [root] if root and alone else sorted(paths)


def _music_below(folder: bytes) -> Iterator[bytes]:
    for place, _, names in os.walk(folder):
        for name in names:
            if os.fsdecode(name).lower().endswith(_MUSIC):
                yield os.path.join(place, name)


def _read(line: bytes) -> _Done | None:
    """Return the album that a line of JSON is about, None for other lines."""
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise UserError(f"covergen: its output cannot be read: {line!r}") from error
    if value["type"] == "error":
        raise UserError(f"covergen: {value['message']}")
    if value["type"] != "album":
        return None
    files = value.get("files", ())
    return _Done(
        title=" – ".join(filter(None, (value["artist"], value["title"]))),
        reason=value["reason"],
        result=value.get("result", ""),
        paths=[os.fsencode(path) for path in value.get("targets") or (f["path"] for f in files)],
        written={os.fsencode(file["path"]) for file in files if file["status"] == "written"},
    )


def _store(album: Album, written: set[bytes]) -> None:
    """Store the new times of an album's tracks, and the path of its cover file."""
    tracks = {item.path: item for item in album.items()}
    for path in written & tracks.keys():
        tracks[path].mtime = tracks[path].current_mtime()
        tracks[path].store()
    for path in written - tracks.keys():
        # Not set_art(), after which embedart would write the tracks again.
        album.artpath = path
        album.store()
