"""Album entries of a preview's manifest; their paths are relative, so that the library may move."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from covergen.core.album import Album, AlbumPlan
from covergen.core.seeds import seed_for
from covergen.library.scanning.album_folder import above_discs
from covergen.preview.manifest import AlbumEntry, TrackEntry

_LONGEST_STEM = 60


def plain(path: Path) -> Path:
    """Return an absolute path without ".."."""
    return path.resolve() if ".." in path.parts else path.absolute()


def roots_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the absolute folders that contain everything a scan of `paths` can find."""
    folders = (path if path.is_dir() else path.parent for path in paths)
    return tuple(dict.fromkeys(above_discs(folder).absolute() for folder in folders))


def album_id(album: Album, roots: Sequence[Path]) -> str:
    """Return an album's id in a preview, since two albums may have the same key."""
    root = _root_of(album, roots)
    first = album.tracks[0].path.absolute().relative_to(roots[root]).as_posix()
    text = f"{album.key}\0{root}\0{first}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def album_entry(plan: AlbumPlan, roots: Sequence[Path]) -> AlbumEntry:
    """Return an album's entry before anything is painted."""
    album = plan.album
    root = _root_of(album, roots)

    def name(path: Path) -> str:
        return path.absolute().relative_to(roots[root]).as_posix()

    targets = {track.path for track in plan.targets}
    folder = name(album.folder)
    return AlbumEntry(
        id=album_id(album, roots),
        key=album.key,
        artist=album.artist,
        title=album.title,
        date=album.date,
        root=root,
        folder="" if folder == "." else folder,
        shares_folder=album.shares_folder,
        cover_file=name(album.cover_file) if album.cover_file else "",
        seconds=float(sum(track.duration_seconds for track in album.tracks)),
        tracks=tuple(
            TrackEntry(
                path=name(track.path),
                size=track.size,
                mtime_ns=track.mtime_ns,
                has_art=track.has_art,
                target=track.path in targets,
            )
            for track in album.tracks
        ),
        action=plan.action,
        reason=plan.reason,
    )


def same_music(one: AlbumEntry, other: AlbumEntry) -> bool:
    """Whether covers of one are valid for the other: the same action on unchanged files."""
    files = [[(t.path, t.size, t.mtime_ns) for t in album.tracks] for album in (one, other)]
    return files[0] == files[1] and (one.key, one.action) == (other.key, other.action)


def candidate_seeds(
    key: str, seed: int, candidates: int, *, styles: int, style_of: Callable[[int], str]
) -> list[int]:
    """Return the seeds of an album's first candidates. Candidate 0 has the seed that `tag` uses.

    `style_of` returns the style for a seed, one of `styles` different ones; as many candidates in a
    row all have different styles.
    """
    seeds: list[int] = []
    for number in range(candidates):
        before = {style_of(other) for other in seeds[max(0, number - styles + 1) :]}
        tried = (_candidate_seed(key, seed, number, attempt) for attempt in count())
        seeds.append(next(found for found in tried if style_of(found) not in before))
    return seeds


def _candidate_seed(key: str, seed: int, number: int, attempt: int) -> int:
    suffix = f"\0{number}" if number else ""
    return seed_for(f"{key}{suffix}" + (f"\0{attempt}" if attempt else ""), seed)


def file_stem(album: AlbumEntry) -> str:
    """Return the stem of the album's file names in the preview, in lower-case ASCII."""
    text = unicodedata.normalize("NFKD", f"{album.artist} {album.title}").casefold()
    words = "-".join(re.findall("[a-z0-9]+", text.encode("ascii", "ignore").decode()))
    return f"{words[:_LONGEST_STEM]}-{album.id}".lstrip("-")


def _root_of(album: Album, roots: Sequence[Path]) -> int:
    """Return the index of the innermost root that contains the album."""
    folder = album.folder.absolute()
    containing = [index for index, root in enumerate(roots) if folder.is_relative_to(root)]
    return max(containing, key=lambda index: len(roots[index].parts))
