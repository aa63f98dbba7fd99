"""Find the pairs of music and covers in a folder.

Files with the same stem form a pair, whether they are in art-from-audio's `audio_snippets/`,
`cover_images/` and `audio_embeddings/` or in the folder itself. Audio files and pictures are
recognized by content, not by extension.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.datasets.image_files import EXTENSIONS, is_picture
from covergen.datasets.metadata import METADATA_NAME, read_metadata
from covergen.library.containers import identify, is_audio_name

if TYPE_CHECKING:
    from covergen.datasets.metadata import Row

    _Kind = Literal["audio", "image", "embedding"]


AUDIO, IMAGES, EMBEDDINGS = "audio_snippets", "cover_images", "audio_embeddings"
"""The folders of art-from-audio's layout."""

SHEET_NAME = "covergen-sheet.png"
"""The contact sheet of a dataset, in its folder; it is not a cover."""

_IGNORED_PREFIXES = (".", SHEET_NAME.removesuffix(".png"))  # includes further sheets: NAME-2.png
_TEMPORARY_SUFFIXES = (".part", ".tmp")
_EMBEDDING_EXTENSIONS = (".pt", ".safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A cover with its music: audio, an embedding (`.pt` or `.safetensors`), or both.

    Pairs with the same `album` share a cover and must stay on the same side of a split. `title` is
    for display. `caption` is what the cover shows in words, or "".
    """

    stem: str
    image: Path
    audio: Path | None
    embedding: Path | None
    album: str
    title: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem with a file. `message` adds details to the reason."""

    path: Path
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The pairs of a folder, sorted by stem, and the problems of its other files.

    `broken` are the stems of pairs in which a file is not what its name says.
    """

    folder: Path
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    broken: frozenset[str] = frozenset()

    @property
    def albums(self) -> tuple[str, ...]:
        """The distinct albums of the pairs, sorted."""
        return tuple(sorted({pair.album for pair in self.pairs}))


def read_dataset(folder: Path) -> Dataset:
    """Find the pairs of a folder. Only the first bytes of files are read; nothing is decoded.

    Pairs with the same album key in metadata.csv, or else with the same picture, are one album.
    Raises UsageError if the folder cannot be read.
    """
    problems: list[Problem] = []
    found: dict[_Kind, dict[str, Path]] = {"audio": {}, "image": {}, "embedding": {}}
    invalid: dict[_Kind, set[str]] = {"audio": set(), "image": set(), "embedding": set()}
    for path in _files(folder):
        kind, problem = _kind(path)
        if kind is None:
            continue
        if problem is not None:
            problems.append(problem)
            invalid[kind].add(path.stem)
        elif path.stem in found[kind]:
            used = found[kind][path.stem].relative_to(folder)
            problems.append(Problem(path=path, reason=Reason.SAME_STEM, message=f"{used} is used"))
        else:
            found[kind][path.stem] = path
    audio, images, embeddings = found["audio"], found["image"], found["embedding"]
    music = audio.keys() | embeddings.keys()
    paired = {stem: images[stem] for stem in sorted(music & images.keys())}
    intended = (music | invalid["audio"]) & (images.keys() | invalid["image"])
    for files in (audio, images, embeddings):
        unpaired = sorted(files.keys() - intended)
        problems += (Problem(path=files[stem], reason=Reason.NO_PARTNER) for stem in unpaired)
    metadata = _metadata_by_stem(folder, problems)
    albums = _albums(paired, metadata)
    pairs = (
        Pair(
            stem=stem,
            image=image,
            audio=audio.get(stem),
            embedding=embeddings.get(stem),
            album=albums[stem],
            title=_title(metadata.get(stem, {}), stem),
            caption=metadata.get(stem, {}).get("caption", "").strip(),
        )
        for stem, image in paired.items()
    )
    return Dataset(
        folder=folder,
        pairs=tuple(pairs),
        problems=tuple(problems),
        broken=frozenset(intended - paired.keys()),
    )


def check_place(folder: Path) -> None:
    """Raise UsageError unless `folder` is new, empty or a dataset, so that pairs can be added."""
    if not folder.exists():
        return
    try:
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        for _ in read_metadata(folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder} cannot be used for a dataset: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{folder / METADATA_NAME} is not a table of pairs: {error}.") from error
    if names and not names & {METADATA_NAME, AUDIO, IMAGES}:
        raise UsageError(
            f"{folder} contains other files and is not a dataset: use a new or empty folder."
        )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of the folder and then of its art-from-audio subfolders, sorted by name."""
    subfolders = (folder / name for name in (AUDIO, IMAGES, EMBEDDINGS))
    for parent in (folder, *(path for path in subfolders if path.is_dir())):
        try:
            with os.scandir(parent) as entries:
                names = sorted(entry.name for entry in entries if entry.is_file())
        except OSError as error:
            raise UsageError(f"{parent} cannot be read: {error.strerror}.") from error
        yield from (parent / name for name in names if not name.startswith(_IGNORED_PREFIXES))


def _kind(path: Path) -> tuple[_Kind | None, Problem | None]:
    """Return the kind of a file (None to ignore it), and a problem if its content differs."""
    suffix = path.suffix.lower()
    if suffix in _EMBEDDING_EXTENSIONS:
        return "embedding", None
    if suffix in _TEMPORARY_SUFFIXES or path.name == METADATA_NAME:
        return None, None
    kind: _Kind = "audio" if is_audio_name(path.name) else "image"
    try:
        if identify(path) is not None if kind == "audio" else is_picture(path):
            return kind, None
    except OSError as error:
        message = error.strerror or str(error)
        return kind, Problem(path=path, reason=Reason.UNREADABLE, message=message)
    if kind == "image" and suffix not in EXTENSIONS:
        return None, None
    reason = Reason.NOT_AUDIO if kind == "audio" else Reason.NOT_A_PICTURE
    return kind, Problem(path=path, reason=reason)


def _metadata_by_stem(folder: Path, problems: list[Problem]) -> dict[str, Row]:
    """Return the rows of metadata.csv by stem; add a problem if it cannot be read."""
    metadata: dict[str, Row] = {}
    try:
        for row in read_metadata(folder):
            for name in (row.get("audio_filename", ""), row.get("image_filename", "")):
                metadata.setdefault(PurePosixPath(name).stem, row)
    except (OSError, ValueError) as error:
        path = folder / METADATA_NAME
        problems.append(Problem(path=path, reason=Reason.UNREADABLE, message=str(error)))
    return metadata


def _albums(images: Mapping[str, Path], metadata: Mapping[str, Row]) -> dict[str, str]:
    """Map each stem to its album: its key, or that of an identical picture, or the stem itself."""
    keys = {stem: metadata.get(stem, {}).get("album_key", "") for stem in images}
    digests = _digests(images.values())
    albums = {digests[image]: keys[stem] for stem, image in images.items() if keys[stem]}
    return {
        stem: keys[stem] or albums.setdefault(digests[image], stem)
        for stem, image in images.items()
    }


def _digests(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Return a digest of each file's content; a file with a unique size is not read."""
    sizes = {path: path.stat().st_size for path in paths}
    counts = Counter(sizes.values())
    return {
        path: _digest(path) if counts[size] > 1 else b"%d" % size for path, size in sizes.items()
    }


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:  # reported elsewhere; an unreadable file equals no other
        return os.fsencode(path)


def _title(row: Row, stem: str) -> str:
    names = (row.get("artist_name", ""), row.get("track_name", ""))
    return " – ".join(filter(None, names)) or stem
