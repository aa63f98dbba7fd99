"""List and prune the data that covergen keeps on this machine."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from covergen.core.app_folders import cache_folder, state_folder
from covergen.core.database import Usage
from covergen.core.errors import JournalError

STORES = {
    "embeddings": "embeddings of the music",
    "latents": "encoded covers used for training",
    "scans": "tags read from the music",
    "words": "the vocabulary as CLAP embeds it",
    "rates": "how fast this machine embeds and paints",
    "previews": "locations of the libraries that previews were made from",
    "journal": "what each run wrote, and how to undo it",
}
"""A description of each store, by the name that `prune` accepts."""

MADE_AGAIN = ("embeddings", "latents", "scans", "words", "rates")
"""The stores whose contents can be recomputed."""

PRUNED_UNASKED = ("embeddings", "latents", "scans")
"""The stores pruned by default: those that grow without limit."""

_UNUSED_DAYS = {"embeddings": 365, "latents": 180, "scans": 180, "previews": 365}
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One store. `entries` is None if they cannot be counted; `fault` is the reason."""

    name: str
    what: str
    path: Path
    size_bytes: int
    entries: int | None
    fault: str = ""


def stored() -> Iterator[Stored]:
    """Yield every store in STORES, whether or not it exists yet. Read-only."""
    from covergen.audio.embedding_cache import stored_embeddings
    from covergen.library.scanning.scan_cache import remembered_files
    from covergen.training.data.latent_cache import stored_latents

    yield _of_database("embeddings", stored_embeddings())
    yield _of_database("latents", stored_latents())
    yield _of_database("scans", remembered_files())
    for name, path in _places().items():
        yield _of_files(name, path)
    yield _journal()


def stored_models() -> Iterator[Stored]:
    """Yield the parts of known models in the Hugging Face cache, which other programs may share."""
    from covergen.models.inventory import parts_of
    from covergen.models.presets import load_presets
    from covergen.models.sources import HubName, parse_source

    parts = {part.source: part for preset in load_presets().values() for part in parts_of(preset)}
    for source, part in parts.items():
        if part.path is not None and isinstance(parse_source(source), HubName):
            yield Stored(
                name="model", what=source, path=part.path, size_bytes=part.size_bytes, entries=1
            )


def prune(name: str, *, unused_days: int | None = None) -> int:
    """Delete entries of the store `name` that have not been used for `unused_days`.

    0 deletes everything, None uses the store's default. Pruning scans also deletes entries of
    files that no longer exist. The journal keeps its history and, unless `unused_days` is 0, the
    data needed to undo the last run. Returns the number of deleted entries. Raises JournalError,
    and BusyError while another process writes, since it may need these entries.
    """
    from covergen.journal.lock import library_lock

    if name in MADE_AGAIN:
        return _prune(name, unused_days)
    with library_lock("cache prune", (Path(os.sep),)):  # any run may need these entries
        return _prune(name, unused_days)


def _prune(name: str, unused_days: int | None) -> int:
    days = _UNUSED_DAYS.get(name, 0) if unused_days is None else unused_days
    match name:
        case "embeddings":
            from covergen.audio.embedding_cache import EmbeddingCache

            with closing(EmbeddingCache()) as embeddings:
                deleted = embeddings.prune(unused_days=days)
                embeddings.compact()
        case "latents":
            from covergen.training.data.latent_cache import LatentCache

            with closing(LatentCache()) as latents:
                deleted = latents.prune(unused_days=days)
        case "scans":
            from covergen.library.scanning.scan_cache import ScanCache

            with closing(ScanCache()) as scans:
                deleted = scans.prune(unused_days=days) + scans.forget_lost()
                scans.compact()
        case "journal":
            from covergen.journal.journal import Journal

            with closing(Journal()) as journal:
                deleted = journal.prune(keep_bytes=0, keep_runs=0 if unused_days == 0 else 1)
        case _:
            deleted = _delete_files(_places()[name], days)
    return deleted


def _places() -> dict[str, Path]:
    """Return the file or folder of each store that is not a database."""
    from covergen.words.vector_cache import words_folder

    return {
        "words": words_folder(),
        "rates": cache_folder() / "rates.json",
        "previews": state_folder() / "previews",
    }


def _of_database(name: str, usage: Usage) -> Stored:
    fault = f"{usage.fault}; the next run creates a new one" if usage.fault else ""
    return Stored(
        name=name,
        what=STORES[name],
        path=usage.path,
        size_bytes=usage.size_bytes,
        entries=None if fault else usage.rows,
        fault=fault,
    )


def _of_files(name: str, path: Path) -> Stored:
    files = _files(path)
    return Stored(
        name=name,
        what=STORES[name],
        path=path,
        size_bytes=_size_of(files),
        entries=len(files),
    )


def _journal() -> Stored:
    from covergen.journal.journal import Journal

    with closing(Journal()) as journal:
        fault, entries = "", None
        try:
            size = journal.size()
            size_bytes, entries = size.file_bytes, size.writes
        except JournalError as error:
            size_bytes, fault = _size_of(_files(journal.path)), str(error)
        return Stored(
            name="journal",
            what=STORES["journal"],
            path=journal.path,
            size_bytes=size_bytes,
            entries=entries,
            fault=fault,
        )


def _size_of(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _files(path: Path) -> list[Path]:
    """Return `path` itself if it is a file, else the files in that folder."""
    with suppress(OSError):
        return [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return []


def _delete_files(path: Path, unused_days: int) -> int:
    oldest = time.time() - unused_days * _DAY_SECONDS
    deleted = 0
    for file in _files(path):
        with suppress(OSError):
            if file.stat().st_mtime <= oldest:
                file.unlink()
                deleted += 1
    return deleted
