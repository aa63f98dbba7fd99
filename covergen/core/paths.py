"""Where covergen keeps its own files: the folders that platformdirs names, which need not exist."""

from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "config_folder", "state_folder"]


def cache_folder() -> Path:
    """What can be made again: embeddings, what scans saw, what runs cost."""
    return platformdirs.user_cache_path("covergen", appauthor=False)


def config_folder() -> Path:
    """The user's own `config.toml` and `models.toml`."""
    return platformdirs.user_config_path("covergen", appauthor=False)


def state_folder() -> Path:
    """What cannot be made again: the journal of what was written, and previews not yet applied."""
    return platformdirs.user_state_path("covergen", appauthor=False)
