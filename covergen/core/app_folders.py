"""The folders for covergen's own files, as given by platformdirs; they need not exist."""

from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder for data that can be recomputed: embeddings, word vectors, scans, timings."""
    return platformdirs.user_cache_path("covergen", appauthor=False)


def config_folder() -> Path:
    """The folder of the user's `config.toml`, `models.toml` and `vocabulary.toml`."""
    return platformdirs.user_config_path("covergen", appauthor=False)


def state_folder() -> Path:
    """The folder for data that cannot be recomputed: the journal and unapplied previews."""
    return platformdirs.user_state_path("covergen", appauthor=False)
