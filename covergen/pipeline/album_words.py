"""Find the words for an album's music, and make the prompt of a model without an adapter.

The words depend on the album's embedding alone, never on other albums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.album import Album
from covergen.core.cover import Provenance
from covergen.core.errors import ModelError, ModelMissingError, SettingsError
from covergen.models.locate import locate
from covergen.models.sources import PROCEDURAL, parse_source
from covergen.words.prompt import best_words, make_prompt
from covergen.words.vector_cache import WordVectors, find_vectors, save_vectors
from covergen.words.vocabulary import read_vocabulary, vocabulary_file
from covergen.words.zero_shot import attribute_scores, term_vectors, zero_shot_scores

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.audio.embedding_cache import EmbeddingCache
    from covergen.models.presets import Preset
    from covergen.words.vocabulary import Term, Vocabulary


_REFERENCE_MUSIC = Path(__file__).parent.parent / "audio" / "reference_music.opus"
_REFERENCE_WINDOWS = 16  # all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class WordFinder:
    """Finds words for music. `scores` maps an embedding, (D,), to a score for each term, (T,)."""

    vocabulary: Vocabulary
    scores: Callable[[NDArray[np.float32]], NDArray[np.float32]]

    def find(self, vector: NDArray[np.float32]) -> tuple[Term, ...]:
        """Return the best words of each group for an embedding: (D,) float32, unit L2 norm."""
        return best_words(self.vocabulary, self.scores(vector))

    def prompt_for(self, vector: NDArray[np.float32], *, seed: int, style: str = "") -> str:
        """Return the prompt for an album's embedding, (D,) float32, unit L2 norm.

        The same embedding, seed and style always give the same prompt. It starts with the style.
        """
        return make_prompt(self.vocabulary, self.find(vector), seed=seed, style=style)


def check_words(preset: Preset, clap: Path) -> None:
    """Check that words can be found, without loading weights. `clap` is the CLAP model's folder.

    Raises ModelMissingError if they cannot, and SettingsError for mistakes in the vocabulary.
    """
    read_vocabulary(_vocabulary_file(preset))
    mood = _mood(preset)
    if mood is None:
        _check_text_encoder(preset, clap)
    elif not mood.is_file():
        raise ModelMissingError(f"The mood probe {mood} does not exist.")


def load_words(
    preset: Preset, clap: Path, audio_encoder: AudioEncoder, *, device: torch.device
) -> WordFinder:
    """Load what finds words with a preset's mood probe, or else with its CLAP's text encoder.

    The text encoder is loaded only if the vectors of the vocabulary are not cached yet, and is then
    released. `clap` is the folder of `audio_encoder`. Raises ModelError (ModelMissingError without
    either), and SettingsError for mistakes in the vocabulary.
    """
    known = _known(preset, audio_encoder.id, audio_encoder.dimension)
    if known is not None:
        return known
    vocabulary = read_vocabulary(_vocabulary_file(preset))
    _check_text_encoder(preset, clap)
    vectors = _compute_vectors(vocabulary, clap, audio_encoder, device)
    save_vectors(vocabulary, audio_encoder.id, vectors)
    return _zero_shot(vocabulary, vectors)


class KnownWords:
    """Finds the words of albums that a run has embedded, without torch and without weights.

    Raises SettingsError for mistakes in the vocabulary.
    """

    def __init__(self, preset: Preset, store: EmbeddingCache) -> None:
        self._preset = preset
        self._store = store
        self._encoders = _encoders(preset)
        self._finder = cache(_known)

    def find(self, album: Album) -> tuple[Term, ...] | None:
        """Return an album's words, None unless all of its tracks are embedded.

        None also if the vectors of the vocabulary have not been computed yet.
        """
        from covergen.audio.embed_tracks import mean_embedding

        for encoder, dimension in self._encoders:
            found = (self._store.find(t, self._preset.windows, encoder) for t in album.tracks)
            vectors = [vector for vector in found if vector is not None]
            if len(vectors) == len(album.tracks):
                finder = self._finder(self._preset, encoder, dimension)
                return None if finder is None else finder.find(mean_embedding(vectors))
        return None


def _encoders(preset: Preset) -> list[tuple[str, int]]:
    """Return the ids that a preset's audio encoder can have here, with its dimension."""
    from covergen.audio.clap_folder import read_clap_folder

    try:
        folder = read_clap_folder(locate(preset.clap, "clap"), padding=preset.padding)
    except ModelError:
        return []
    dtypes = ("float32", "bfloat16", "float16")
    return [(f"{folder.fingerprint} torch.{dtype}", folder.dimension) for dtype in dtypes]


def _known(preset: Preset, audio_encoder: str, dimension: int) -> WordFinder | None:
    """Return what finds words for an audio encoder's id, None if that needs weights."""
    file = _vocabulary_file(preset)
    vocabulary = read_vocabulary(file)
    if (mood := _mood(preset)) is not None:
        if not any(term.attributes for term in vocabulary.terms):
            raise SettingsError(file, ["no word has attributes, which this model's words need"])
        return _by_mood(vocabulary, mood, dimension)
    vectors = find_vectors(vocabulary, audio_encoder)
    return None if vectors is None else _zero_shot(vocabulary, vectors)


def still_knows(preset: Preset, provenance: Provenance) -> bool:
    """Whether a preset's vocabulary has all words of a cover's prompt."""
    rest = provenance.prompt.removeprefix(provenance.style)
    try:
        vocabulary = read_vocabulary(_vocabulary_file(preset))
    except (ModelMissingError, SettingsError):
        return False
    pictures = {picture for term in vocabulary.terms for picture in term.pictures}
    for picture in sorted(pictures, key=len, reverse=True):
        rest = rest.replace(picture, "")
    return not rest.strip(", ")


def _vocabulary_file(preset: Preset) -> Path:
    return vocabulary_file() if preset.vocabulary is None else _path(preset.vocabulary)


def _mood(preset: Preset) -> Path | None:
    """Return the file of a preset's mood probe; the adapter of a procedural model is one."""
    source = preset.adapter if preset.base == PROCEDURAL else preset.mood
    return None if source is None else _path(source)


def _path(source: str) -> Path:
    place = parse_source(source)
    if isinstance(place, Path):
        return place
    raise ModelMissingError(f"{source} does not exist.")


def _check_text_encoder(preset: Preset, clap: Path) -> None:
    from covergen.audio.clap_folder import read_text_config

    try:
        read_text_config(clap)
    except ModelMissingError as error:
        raise ModelMissingError(
            f"The model {preset.name!r} has no adapter, so its pictures are painted from words for"
            f" the music, which cannot be found: {error.message}",
            hint=f"Download it with `covergen models pull {preset.name}`, or pass a CLAP model with"
            " a text encoder to --clap, or an adapter to --adapter.",
        ) from error


def _zero_shot(vocabulary: Vocabulary, vectors: WordVectors) -> WordFinder:
    def scores(vector: NDArray[np.float32]) -> NDArray[np.float32]:
        return zero_shot_scores(vector, vectors.audio_mean, vectors.terms)

    return WordFinder(vocabulary=vocabulary, scores=scores)


def _by_mood(vocabulary: Vocabulary, file: Path, dimension: int) -> WordFinder:
    from covergen.poster.attributes import Attributes
    from covergen.poster.model import load_poster

    try:
        probe = load_poster(file, d_audio=dimension).probe
    except OSError as error:
        raise ModelMissingError(f"{file} cannot be read: {error.strerror}.") from error
    names = ["pace" if field.name == "tempo_bpm" else field.name for field in fields(Attributes)]

    def scores(vector: NDArray[np.float32]) -> NDArray[np.float32]:
        row = probe.read(vector).row
        return attribute_scores(vocabulary, dict(zip(names, row, strict=True)))

    return WordFinder(vocabulary=vocabulary, scores=scores)


def _compute_vectors(
    vocabulary: Vocabulary, clap: Path, audio_encoder: AudioEncoder, device: torch.device
) -> WordVectors:
    from covergen.audio.clap_text import embed_texts

    texts = [text for term in vocabulary.terms for text in term.texts]
    terms = term_vectors(vocabulary, embed_texts(clap, texts, device=device))
    return WordVectors(terms=terms, audio_mean=_mean_of_music(audio_encoder))


def _mean_of_music(audio_encoder: AudioEncoder) -> NDArray[np.float32]:
    """Return the mean embedding of the music that ships with covergen: (D,) float32."""
    from covergen.audio.windows import read_excerpt

    windows = read_excerpt(_REFERENCE_MUSIC, _REFERENCE_WINDOWS).decode()
    count = audio_encoder.batch_size
    embedded = [
        audio_encoder.embed(audio_encoder.log_mel(windows[start : start + count]))
        for start in range(0, len(windows), count)
    ]
    return np.asarray(np.concatenate(embedded).mean(axis=0), np.float32)
