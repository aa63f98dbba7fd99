"""Turn the pairs of a dataset into training examples, computing missing embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from covergen.audio.embed_tracks import embed_tracks
from covergen.audio.embedding_cache import EmbeddingCache
from covergen.core.album import Outcome, Track
from covergen.core.errors import DecodeError, TrainingError
from covergen.datasets.embeddings import read_embedding
from covergen.pipeline.events import CheckInterrupted
from covergen.training.data.examples import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.datasets.folder import Pair

    LeaveOut = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEmbedded:
    """Progress: `done` of the `pairs` without an embedding have been processed."""

    done: int
    pairs: int


def make_examples(
    pairs: Sequence[Pair],
    audio_encoder: AudioEncoder,
    *,
    windows: int,
    workers: int,
    leave_out: LeaveOut,
    emit: Callable[[PairEmbedded], None],
    check_interrupted: CheckInterrupted,
    process: tuple[int, int] = (0, 1),
) -> list[Example]:
    """Return the pairs with their embeddings: read from a file, cached, or computed now.

    `process` is the index of this process and the number of processes on this machine: each starts
    with its own share, then takes what the others have not embedded yet. `leave_out` is called
    with the stem of a pair that cannot be used, and the reason. Raises TrainingError for an
    embedding of a different length than CLAP's, ModelError, and whatever `check_interrupted`
    raises.
    """
    vectors = dict(_read(pairs, audio_encoder, leave_out))
    missing = _own_first([pair for pair in pairs if pair.stem not in vectors], *process)
    tracks = dict(_tracks(missing, leave_out))
    with closing(EmbeddingCache()) as store:
        embedded = embed_tracks(
            tracks.values(),
            audio_encoder,
            store,
            windows=windows,
            workers=workers,
            check_interrupted=check_interrupted,
        )
        with closing(embedded):  # ends the threads that use the store
            for done, (stem, result) in enumerate(zip(tracks, embedded, strict=True), start=1):
                if isinstance(result, Outcome):
                    leave_out(stem, f"its audio cannot be embedded: {result.message}")
                else:
                    vectors[stem] = result.vector
                emit(PairEmbedded(done=done, pairs=len(tracks)))
    return [
        Example(
            stem=pair.stem,
            image=pair.image,
            vector=vectors[pair.stem],
            album=pair.album,
            caption=pair.caption,
        )
        for pair in pairs
        if pair.stem in vectors
    ]


def _own_first(pairs: Sequence[Pair], number: int, processes: int) -> Sequence[Pair]:
    """Return the share of one of several processes, then the others' in reverse order."""
    own = pairs[number::processes]
    others = [pair for k, pair in enumerate(pairs) if k % processes != number]
    return [*own, *reversed(others)]


def _read(
    pairs: Sequence[Pair], audio_encoder: AudioEncoder, leave_out: LeaveOut
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the dataset's own embeddings by stem; a broken one is skipped if there is audio."""
    for pair in pairs:
        if pair.embedding is None:
            continue
        try:
            vector = read_embedding(pair.embedding)
        except DecodeError as error:
            if pair.audio is None:
                leave_out(pair.stem, f"its embedding cannot be read: {error.message}")
            continue
        if vector.size != audio_encoder.dimension:
            raise TrainingError(
                f"{pair.embedding} is an embedding of {vector.size} numbers; those of this CLAP "
                f"have {audio_encoder.dimension}.",
                hint="Pass the CLAP that it was made with to --clap, or remove the embeddings:"
                " missing ones are computed.",
            )
        yield pair.stem, vector


def _tracks(pairs: Sequence[Pair], leave_out: LeaveOut) -> Iterator[tuple[str, Track]]:
    """Yield the audio files to embed, by stem."""
    for pair in pairs:
        if pair.audio is None:
            continue
        try:
            stat = pair.audio.stat()
        except OSError as error:
            leave_out(pair.stem, f"its audio cannot be read: {error.strerror}")
            continue
        yield (
            pair.stem,
            Track(
                path=pair.audio,
                size=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                container="",  # nothing is written
                has_art=False,
            ),
        )
