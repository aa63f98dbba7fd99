"""Where covergen keeps its own files: the folders that platformdirs names."""

from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "config_folder", "state_folder"]


def cache_folder() -> Path:
    """What can be made again: embeddings and what scans saw."""
    return platformdirs.user_cache_path("covergen", appauthor=False, ensure_exists=True)


def config_folder() -> Path:
    """The user's own `config.toml` and `models.toml`; not created."""
    return platformdirs.user_config_path("covergen", appauthor=False)


def state_folder() -> Path:
    """What must not be lost: the journal of runs."""
    return platformdirs.user_state_path("covergen", appauthor=False, ensure_exists=True)
