"""The parts of a model on this machine: found without the network, or pulled over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.core.errors import ModelMissingError
from covergen.core.paths import config_folder
from covergen.models import hub
from covergen.models.files import names_in, select
from covergen.models.sources import (
    PACKAGE_PREFIX,
    PAINTER_FOLDER,
    PROCEDURAL,
    HubName,
    parse_source,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from covergen.models.files import Kind

__all__ = ["locate", "pull"]


def locate(source: str, kind: Kind, *, model: str = "") -> Path:
    """Find a part of a model on this machine; never reaches for the network.

    `source` is a local path, `package:PATH`, or `owner/name[@revision]` in the Hub's cache, as
    `parse_source` reads it. `model` is the name of the model whose part it is, if it has one, for
    the advice in the error. Returns the folder of a base or a CLAP, the file of an adapter.

    Raises ModelMissingError, also where only some of the files that it takes are there.
    """
    if source == PROCEDURAL and kind == "base":
        return PAINTER_FOLDER
    place = parse_source(source)
    if isinstance(place, HubName):
        return _in_hub_cache(place, kind, model)
    if source.startswith(PACKAGE_PREFIX):
        return _in_package(place, kind)
    return _on_disk(place, kind)


def pull(
    source: str,
    kind: Kind,
    *,
    progress: bool = True,
    check: Callable[[Path], None] | None = None,
) -> Path:
    """Find a part of a model as `locate` does, fetching it from the Hub if it is not here yet.

    Only the files that covergen reads are fetched, into the Hub's own cache. A pull that was cut
    off goes on with the files that have not arrived. `progress` shows bars on stderr, never where
    that is no terminal. `check` is called with the folder of a base or a CLAP before its weights
    are fetched; what it raises ends the pull.

    Raises ModelError: no network, no such repository, no access, no space; and ModelMissingError
    for a source that is not the Hub's.
    """
    place = parse_source(source)
    if isinstance(place, HubName):
        try:
            return locate(source, kind)
        except ModelMissingError:
            hub.download(place, kind, progress=progress, check=check)
    return locate(source, kind)


def _on_disk(path: Path, kind: Kind) -> Path:
    try:
        if path.is_file() and kind == "adapter":
            return path
        part, fault = _part_in(path, kind) if path.is_dir() else (path, _no_folder(path))
    except OSError as error:
        part, fault = path, f"cannot be read ({error.strerror})"
    if fault:
        raise ModelMissingError(f"The {kind} {path} {fault}.", hint=_FORMS[kind])
    return part


def _no_folder(path: Path) -> str:
    return "is a file, not a folder" if path.exists() else "does not exist"


def _in_package(path: Path, kind: Kind) -> Path:
    try:
        return _on_disk(path, kind)
    except ModelMissingError as error:
        raise ModelMissingError(
            "This build of covergen has no starter weights.",
            hint="Choose another model: sd15, which takes an adapter of yours, or one of your own"
            f" in {config_folder() / 'models.toml'}.",
        ) from error


def _in_hub_cache(name: HubName, kind: Kind, model: str) -> Path:
    state = "is not on this machine, neither as a path nor in the Hub's cache"
    if (folder := hub.cached_snapshot(name)) is not None:
        part, fault = _part_in(folder, kind)
        if not fault:
            return part
        state = f"is only partly on this machine: its folder {folder} {fault}"
    own_file = config_folder() / "models.toml"
    pulling = (
        f"`covergen models pull {model}`"
        if model
        else f"`covergen models pull NAME`, where NAME is a model that you give it in {own_file}"
    )
    raise ModelMissingError(
        f"The {kind} {name} {state}.",
        hint=f"Fetch it from {name.page} with {pulling};"
        f" or use a local one: --{kind} PATH, or `{kind}` in a model of {own_file}.",
    )


def _part_in(folder: Path, kind: Kind) -> tuple[Path, str]:
    """The part in a folder, and what is wrong with it, "" if nothing is."""
    selection = select(kind, names_in(folder))
    if kind == "adapter" and not selection.fault:
        return folder / selection.files[0], ""
    return folder, selection.fault


_FORMS: dict[Kind, str] = {
    "base": "A base is a folder as diffusers saves it (unet, vae, text_encoder, tokenizer,"
    " scheduler) or a name on the Hugging Face Hub (owner/name).",
    "clap": "A CLAP model is a folder as transformers saves it or a name on the Hugging Face Hub"
    " (owner/name).",
    "adapter": "An adapter is a .safetensors file or a name on the Hugging Face Hub (owner/name).",
}
