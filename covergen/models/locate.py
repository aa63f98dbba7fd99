"""Find the parts of a model on this machine, or download them from the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.app_folders import config_folder
from covergen.core.errors import ModelMissingError
from covergen.models import hub
from covergen.models.part_files import lacks_tokenizer, names_in, select_in
from covergen.models.sources import (
    PACKAGE_PREFIX,
    PAINTER_FOLDER,
    PROCEDURAL,
    HubName,
    parse_source,
)

if TYPE_CHECKING:
    from covergen.models.part_files import Kind


def locate(source: str, kind: Kind, *, model: str = "") -> Path:
    """Find a part of a model on this machine, without using the network.

    `source` is a local path, `package:PATH`, or `owner/name[@revision]` for the Hub cache; see
    `parse_source`. `model` is the name of its model, if any, for the hint of the error. Returns
    the folder of a base, CLAP or VAE, or the file of an adapter or LoRA.

    Raises ModelMissingError if the part is missing or incomplete.
    """
    if source == PROCEDURAL and kind == "base":
        return PAINTER_FOLDER
    place = parse_source(source)
    if isinstance(place, HubName):
        return _in_hub_cache(place, kind, model)
    if source.startswith(PACKAGE_PREFIX):
        return _in_package(place, kind)
    return _on_disk(place, kind)


def revision_of(base: Path) -> str:
    """Return the commit of a folder in the Hub cache, "" for another folder."""
    return base.name if base.parent.name == "snapshots" else ""


def pull(
    source: str,
    kind: Kind,
    *,
    progress: bool = True,
    variant: str | None = None,
    check: Callable[[Path], None] | None = None,
) -> Path:
    """Find a part of a model as `locate` does, downloading it from the Hub if necessary.

    Only the files that covergen reads are downloaded, into the Hub cache; an interrupted pull
    resumes, and a CLAP model of an earlier version of covergen gets its tokenizer. `progress` shows
    bars on stderr if it is a terminal. `variant` is preferred among the weights of a base. `check`
    is called with the folder of a part before its weights are downloaded; an exception from it
    aborts the pull.

    Raises ModelError if the download fails, and ModelMissingError if `source` is a path at which
    the part is missing.
    """
    place = parse_source(source)
    if isinstance(place, HubName):
        try:
            found = locate(source, kind)
        except ModelMissingError:
            found = None
        if found is None or (found.is_dir() and lacks_tokenizer(kind, names_in(found))):
            hub.download(place, kind, progress=progress, variant=variant, check=check)
    return locate(source, kind)


def _on_disk(path: Path, kind: Kind) -> Path:
    try:
        if path.is_file() and kind in _FILES:
            part, fault = path, _file_fault(path, kind)
        else:
            part, fault = _part_in(path, kind) if path.is_dir() else (path, _folder_fault(path))
    except OSError as error:
        part, fault = path, f"cannot be read ({error.strerror})"
    if fault:
        raise ModelMissingError(f"The {kind} {path} {fault}.", hint=_FORMS[kind])
    return part


def _file_fault(path: Path, kind: Kind) -> str:
    # diffusers would unpickle a LoRA in another file.
    other = kind == "lora" and path.suffix != ".safetensors"
    return "is not a .safetensors file" if other else ""


def _folder_fault(path: Path) -> str:
    return "is a file, not a folder" if path.exists() else "does not exist"


def _in_package(path: Path, kind: Kind) -> Path:
    try:
        return _on_disk(path, kind)
    except ModelMissingError as error:
        raise ModelMissingError(
            "This build of covergen does not include the starter weights.",
            hint="Use another model: sd15 with your own adapter, or a model of your own in"
            f" {config_folder() / 'models.toml'}.",
        ) from error


def _in_hub_cache(name: HubName, kind: Kind, model: str) -> Path:
    state = "was not found, neither as a local path nor in the Hub cache"
    if (folder := hub.cached_snapshot(name)) is not None:
        part, fault = _part_in(folder, kind)
        if not fault:
            return part
        state = f"is incomplete: its folder {folder} {fault}"
    own_file = config_folder() / "models.toml"
    command = (
        f"`covergen models pull {model}`"
        if model
        else f"`covergen models pull NAME`, after adding it to a model NAME in {own_file}"
    )
    raise ModelMissingError(
        f"The {kind} {name} {state}.",
        hint=f"Download it from {name.page} with {command};"
        f" or use a local one with {_local(kind)} in a model of {own_file}.",
    )


def _part_in(folder: Path, kind: Kind) -> tuple[Path, str]:
    """Return the path of the part in a folder, and its fault, or ""."""
    selection = select_in(folder, kind)
    if kind in _FILES and not selection.fault:
        return folder / selection.files[0], ""
    return folder, selection.fault


def _local(kind: Kind) -> str:
    return {"lora": "`loras`", "vae": "`vae`"}.get(kind, f"--{kind} PATH or `{kind}`")


_FILES: tuple[Kind, ...] = ("adapter", "lora")
_FORMS: dict[Kind, str] = {
    "base": "A base is a folder in the diffusers layout (model_index.json, or unet, vae,"
    " text_encoder, tokenizer and scheduler) or a name on the Hugging Face Hub (owner/name).",
    "clap": "A CLAP model is a folder in the transformers layout or a name on the Hugging Face Hub"
    " (owner/name).",
    "adapter": "An adapter is a .safetensors file or a name on the Hugging Face Hub (owner/name).",
    "lora": "A LoRA is a .safetensors file or a name on the Hugging Face Hub (owner/name).",
    "vae": "A VAE is a folder in the diffusers layout or a name on the Hugging Face Hub"
    " (owner/name).",
}
