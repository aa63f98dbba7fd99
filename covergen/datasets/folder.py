"""A folder of pairs of music and covers: what belongs together, and what is in the way.

Files with equal stems are a pair, wherever they lie: in art-from-audio's `audio_snippets/`,
`cover_images/` and `audio_embeddings/`, or side by side in the folder itself. What a sound or a
picture is, its content decides, whatever its extension says.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.datasets.metadata import METADATA_NAME, read_metadata
from covergen.datasets.pictures import EXTENSIONS, is_picture
from covergen.library.containers import identify, is_audio_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from covergen.datasets.metadata import Row

    _Kind = Literal["audio", "image", "embedding"]

__all__ = [
    "AUDIO",
    "EMBEDDINGS",
    "IMAGES",
    "SHEET_NAME",
    "Dataset",
    "Pair",
    "Problem",
    "check_place",
    "read_dataset",
]

AUDIO, IMAGES, EMBEDDINGS = "audio_snippets", "cover_images", "audio_embeddings"
"""The folders of art-from-audio's layout."""

SHEET_NAME = "covergen-sheet.png"
"""The pictures of a dataset on a sheet: no cover, though it lies in the dataset's folder."""

_PASSED_OVER = (".", SHEET_NAME.removesuffix(".png"))  # and the sheets that go on: NAME-2.png
_UNFINISHED = (".part", ".tmp")
_EMBEDDING_EXTENSIONS = (".pt", ".safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A cover with its music: the sound, its embedding (`.pt` or `.safetensors`), or both.

    Pairs of one `album` share their cover: they belong on the same side of any split. `title` is
    for people to read.
    """

    stem: str
    image: Path
    audio: Path | None
    embedding: Path | None
    album: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is the matter with a file. `message` adds what the reason's sentence cannot know."""

    path: Path
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The pairs of a folder, sorted by stem, and the files that are in none of them.

    `broken` are the stems of what would be pairs if each file were what its name says.
    """

    folder: Path
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    broken: frozenset[str] = frozenset()

    @property
    def albums(self) -> tuple[str, ...]:
        """Each album of the pairs once, sorted."""
        return tuple(sorted({pair.album for pair in self.pairs}))


def read_dataset(folder: Path) -> Dataset:
    """Find the pairs of a folder. Files are told apart by their first bytes, and not decoded.

    An album is what metadata.csv gives the same key; without one, what has the same picture.
    Raises UsageError where there is no such folder, or it cannot be read.
    """
    problems: list[Problem] = []
    found: dict[_Kind, dict[str, Path]] = {"audio": {}, "image": {}, "embedding": {}}
    spoilt: dict[_Kind, set[str]] = {"audio": set(), "image": set(), "embedding": set()}
    for path in _files(folder):
        kind, problem = _kind(path)
        if kind is None:
            continue
        if problem is not None:
            problems.append(problem)
            spoilt[kind].add(path.stem)
        elif path.stem in found[kind]:
            taken = found[kind][path.stem].relative_to(folder)
            message = f"{taken}, of the same stem, is taken instead"
            problems.append(Problem(path=path, reason=Reason.SAME_STEM, message=message))
        else:
            found[kind][path.stem] = path
    audio, images, embeddings = found["audio"], found["image"], found["embedding"]
    heard = audio.keys() | embeddings.keys()
    paired = {stem: images[stem] for stem in sorted(heard & images.keys())}
    meant = (heard | spoilt["audio"]) & (images.keys() | spoilt["image"])
    for files in (audio, images, embeddings):
        alone = sorted(files.keys() - meant)
        problems += (Problem(path=files[stem], reason=Reason.NO_PARTNER) for stem in alone)
    known = _known(folder, problems)
    albums = _albums(paired, known)
    pairs = (
        Pair(
            stem=stem,
            image=image,
            audio=audio.get(stem),
            embedding=embeddings.get(stem),
            album=albums[stem],
            title=_title(known.get(stem, {}), stem),
        )
        for stem, image in paired.items()
    )
    return Dataset(
        folder=folder,
        pairs=tuple(pairs),
        problems=tuple(problems),
        broken=frozenset(meant - paired.keys()),
    )


def check_place(folder: Path) -> None:
    """Raise UsageError unless `folder` is new, empty or a dataset: a place for more pairs."""
    if not folder.exists():
        return
    try:
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        for _ in read_metadata(folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder} is no place for a dataset: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{folder / METADATA_NAME} is no table of pairs: {error}.") from error
    if names and not names & {METADATA_NAME, AUDIO, IMAGES}:
        raise UsageError(
            f"{folder} holds other things and no dataset: name a new or an empty folder."
        )


def _files(folder: Path) -> Iterator[Path]:
    """Each file of the folder, then of art-from-audio's three in it, sorted by name."""
    inside = (folder / name for name in (AUDIO, IMAGES, EMBEDDINGS))
    for place in (folder, *(path for path in inside if path.is_dir())):
        try:
            with os.scandir(place) as entries:
                names = sorted(entry.name for entry in entries if entry.is_file())
        except OSError as error:
            raise UsageError(f"{place} cannot be read: {error.strerror}.") from error
        yield from (place / name for name in names if not name.startswith(_PASSED_OVER))


def _kind(path: Path) -> tuple[_Kind | None, Problem | None]:
    """What a file is, None for one to pass over; a problem where it only is so by its name."""
    suffix = path.suffix.lower()
    if suffix in _EMBEDDING_EXTENSIONS:
        return "embedding", None
    if suffix in _UNFINISHED or path.name == METADATA_NAME:
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


def _known(folder: Path, problems: list[Problem]) -> dict[str, Row]:
    """The rows of metadata.csv by stem."""
    known: dict[str, Row] = {}
    try:
        for row in read_metadata(folder):
            for name in (row.get("audio_filename", ""), row.get("image_filename", "")):
                known.setdefault(PurePosixPath(name).stem, row)
    except (OSError, ValueError) as error:
        path = folder / METADATA_NAME
        problems.append(Problem(path=path, reason=Reason.UNREADABLE, message=str(error)))
    return known


def _albums(images: Mapping[str, Path], known: Mapping[str, Row]) -> dict[str, str]:
    """The album of each stem: its key, else that of the same picture, else the stem itself."""
    keys = {stem: known[stem].get("album_key", "") if stem in known else "" for stem in images}
    pictures = _digests(images.values())
    albums = {pictures[image]: keys[stem] for stem, image in images.items() if keys[stem]}
    return {
        stem: keys[stem] or albums.setdefault(pictures[image], stem)
        for stem, image in images.items()
    }


def _digests(paths: Iterable[Path]) -> dict[Path, bytes]:
    """A name for the content of each file; files of unlike sizes need not be read for that."""
    sizes = {path: path.stat().st_size for path in paths}
    alike = Counter(sizes.values())
    return {
        path: _digest(path) if alike[size] > 1 else b"%d" % size for path, size in sizes.items()
    }


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:  # for others to tell: what cannot be read is like nothing else
        return os.fsencode(path)


def _title(row: Row, stem: str) -> str:
    named = (row.get("artist_name", ""), row.get("track_name", ""))
    return " – ".join(filter(None, named)) or stem
