"""A new model in the user's own models.toml, beside whatever else stands there."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from covergen.core.errors import SettingsError, UsageError
from covergen.core.files import write_whole
from covergen.models.presets import is_name, load_presets, user_file

if TYPE_CHECKING:
    from pathlib import Path

    from covergen.models.presets import Preset

__all__ = ["check_new_name", "save_preset"]


def check_new_name(name: str, adapter: Path, *, force: bool) -> None:
    """Check a name before there is a model to save under it, whose adapter will be `adapter`.

    `force` allows one that another model has. Raises UsageError, and SettingsError for a
    models.toml to which nothing can be added.
    """
    file = user_file()
    if not is_name(name):
        raise UsageError(f"{name!r} is no name for a model: use letters, digits, ., _ and -.")
    taken = load_presets().get(name)
    if taken and taken.adapter != str(adapter) and not force:
        if taken.defined_in == file:
            raise UsageError(
                f"There is a model {name!r} already, in {file}.",
                hint="Choose another name, or replace it with --force.",
            )
        raise UsageError(
            f"There is a model {name!r} already, one of covergen's own.",
            hint="Choose another name. With --force yours stands in for it, until you take it out"
            f" of {file}.",
        )
    if not _is_writable(file.parent):
        raise SettingsError(file, ["cannot be written: its folder permits it not"])


def save_preset(preset: Preset) -> Path:
    """Write a model into the user's models.toml, in place of one of the same name.

    Everything else in the file stays as it is, comments too. Returns the file. Raises
    SettingsError.
    """
    import tomlkit

    file = user_file()
    load_presets()  # what is no good is told, not edited
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
            file, ["cannot name a path with bytes that are no UTF-8"], hint="Move the adapter."
        ) from error
    return file


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which need not be there yet."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _values(preset: Preset) -> dict[str, str | int | float | list[str]]:
    values = {
        "description": preset.description,
        "base": preset.base,
        "clap": preset.clap,
        "adapter": preset.adapter,
        **asdict(preset.sampling),
        "windows": preset.windows,
        "padding": preset.padding,
        "styles": list(preset.styles),
        "licence": preset.licence,
    }
    return {key: value for key, value in values.items() if value not in (None, "", [])}
