"""Read the TOML files that users write: settings, model lists and vocabularies."""

import tomllib
from pathlib import Path
from typing import Any

from covergen.core.errors import SettingsError


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file, which may begin with a byte order mark.

    Raises FileNotFoundError, and SettingsError if the file cannot be read or is not valid.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingsError(file, [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError(file, [f"is not valid UTF-8 at byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:  # the message includes the line and column
        raise SettingsError(file, [str(error)]) from error
