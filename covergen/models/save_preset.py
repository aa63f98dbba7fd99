"""Save a model to the user's models.toml, keeping the rest of the file."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.atomic_write import write_whole
from covergen.core.errors import SettingsError, UsageError
from covergen.models.presets import is_name, load_presets, user_file

if TYPE_CHECKING:
    from covergen.models.presets import Preset


def check_new_name(name: str, adapter: Path, *, force: bool) -> None:
    """Check that a model whose adapter will be `adapter` can be saved under `name`.

    `force` allows the name of another model. Raises UsageError, and SettingsError if the user's
    models.toml is invalid or not writable.
    """
    file = user_file()
    if not is_name(name):
        raise UsageError(
            f"{name!r} is not a valid model name: use letters, digits, ., _ and - only."
        )
    taken = load_presets().get(name)
    if taken and taken.adapter != str(adapter) and not force:
        if taken.defined_in == file:
            raise UsageError(
                f"A model {name!r} already exists in {file}.",
                hint="Choose another name, or replace the model with --force.",
            )
        raise UsageError(
            f"A model {name!r} already exists: it comes with covergen.",
            hint="Choose another name. With --force, yours replaces it until you remove it from"
            f" {file}.",
        )
    if not _is_writable(file.parent):
        raise SettingsError(file, ["cannot be written: the folder is not writable"])


def save_preset(preset: Preset) -> Path:
    """Write a model to the user's models.toml, replacing one of the same name.

    Everything else in the file, including comments, is kept. Returns the path of the file. Raises
    SettingsError.
    """
    import tomlkit

    file = user_file()
    load_presets()  # raises if the file is invalid, rather than editing it
    try:
        document = tomlkit.parse(file.read_bytes().decode("utf-8-sig") if file.exists() else "")
        if preset.name not in document:
            document.append(preset.name, tomlkit.table())
        table = document[preset.name]
        values = _values(preset)
        for key in [key for key in table if key not in values]:
            table.remove(key)
        table.update(values)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, tomlkit.dumps(document).encode())
    except OSError as error:
        raise SettingsError(file, [f"cannot be written: {error.strerror}"]) from error
    except UnicodeEncodeError as error:
        raise SettingsError(
            file, ["cannot contain a path that is not valid UTF-8"], hint="Move the adapter."
        ) from error
    return file


def _is_writable(folder: Path) -> bool:
    """Whether files can be created in a folder, which need not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _values(preset: Preset) -> dict[str, object]:
    values = {
        "description": preset.description,
        "base": preset.base,
        "clap": preset.clap,
        "adapter": preset.adapter,
        **asdict(preset.sampling),
        "windows": preset.windows,
        "padding": preset.padding,
        "styles": list(preset.styles),
        "negative": preset.negative,
        "mood": preset.mood,
        "vocabulary": preset.vocabulary,
        "loras": [asdict(lora) for lora in preset.loras],
        "vae": preset.vae,
        "variant": preset.variant,
        "dtype": preset.dtype,
        "license": preset.license,
        "memory": preset.memory,
    }
    return {key: value for key, value in values.items() if value not in (None, "", [])}
