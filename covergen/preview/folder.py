"""The preview folder: checking, opening and cleaning it, and the files in it."""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.preview_excerpt import preview_excerpt
from covergen.core.atomic_write import write_whole
from covergen.core.errors import DecodeError, UsageError
from covergen.core.os_errors import write_errors
from covergen.core.safe_path import inside
from covergen.gallery.thumbnail import save_thumbnail
from covergen.library.scanning.ignore_files import IGNORE_FILE
from covergen.models.presets import lora_texts
from covergen.preview.album_entry import roots_of
from covergen.preview.manifest import MANIFEST_NAME, Manifest, ManifestHeader
from covergen.preview.origins import Origin, new_preview_id, recall_origin, remember_origin

if TYPE_CHECKING:
    from covergen.pipeline.options import PreviewOptions


COVERS, THUMBNAILS, EXCERPTS = _KINDS = ("covers", "thumbnails", "audio")
UNTITLED = "-untitled"
"""The end of the names of covers that are also offered with a title."""

# Names of covers, thumbnails and excerpts, and of temporary files that a killed run left behind.
_OWN_NAME = re.compile(
    r"[a-z0-9-]*[0-9a-f]{16}(-[0-9]+)?(-untitled)?\.(png|jpg|mp3)|\.covergen-[0-9a-f]+\.(part|tmp)"
)


def check_preview(options: PreviewOptions) -> bool:
    """Whether the folder already contains this preview, so that it can be continued. Read-only.

    Raises UsageError for a folder that contains anything else or is inside the library, and
    WriteError for one that cannot be read.
    """
    folder = options.folder
    for path in options.tag.plan.paths:
        if _real(folder).is_relative_to(_real(path)):
            raise UsageError(
                f"{folder} is inside the library {path}: players would find it there.",
                hint="Choose a folder outside the library for the preview.",
            )
    with write_errors(folder):
        if not (folder / MANIFEST_NAME).is_file():
            _check_empty(folder)
            return False
    with closing(Manifest(folder)) as manifest:
        _check_same(folder, manifest.header, options)
    return True


def open_preview(options: PreviewOptions) -> Manifest:
    """Open a preview, or create it. Raises UsageError as `check_preview`, and WriteError."""
    folder = options.folder
    roots = _real_roots(options)
    if check_preview(options):
        manifest = Manifest(folder)
    else:
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        names = tuple(root.name for root in roots)
        header = ManifestHeader(preview=new_preview_id(), roots=names, settings=_settings(options))
        manifest = Manifest.create(folder, header)
    with write_errors(folder):
        for name in _KINDS:
            _place(folder, name).mkdir(exist_ok=True)
        if not (folder / IGNORE_FILE).exists():
            (folder / IGNORE_FILE).touch()  # so that scans do not take excerpts for music
    origin = Origin(paths=options.tag.plan.paths, roots=roots, options=options.command)
    remember_origin(manifest.header.preview, origin)
    return manifest


def keep_cover(folder: Path, name: str, data: bytes) -> Path:
    """Write a PNG file as `name`.png, with a thumbnail; return its path. Raises WriteError."""
    path = _place(folder, COVERS, f"{name}.png")
    thumbnail = _place(folder, THUMBNAILS, f"{name}.jpg")
    with write_errors(path):
        write_whole(path, data)
        save_thumbnail(data, thumbnail)
    return path


def keep_excerpt(folder: Path, name: str, track: Path) -> str:
    """Write an excerpt of a track; return its file name, "" on failure. Raises WriteError."""
    path = _place(folder, EXCERPTS, f"{name}.mp3")
    try:
        data = preview_excerpt(track)
    except DecodeError:
        return ""  # the page works without it
    with write_errors(path):
        write_whole(path, data)
    return path.name


def tidy(folder: Path, manifest: Manifest) -> None:
    """Delete covers and excerpts that the manifest no longer mentions. Raises WriteError."""
    used = set()
    for entry in manifest:
        stems = [candidate.cover.removesuffix(".png") for candidate in entry.candidates]
        used |= {f"{stem}.{extension}" for stem in stems for extension in ("png", "jpg")}
        used.add(entry.excerpt)
    with write_errors(folder):
        for name in (".", *_KINDS):
            for path in (_place(folder, name) if name != "." else folder).iterdir():
                if _OWN_NAME.fullmatch(path.name) and path.name not in used:
                    path.unlink()


def _place(folder: Path, *names: str) -> Path:
    try:
        return inside(folder, "/".join(names))
    except ValueError as error:
        hint = "covergen does not create such links: choose a new folder for the preview."
        raise UsageError(f"{error}.", hint=hint) from error


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", hint="Choose a folder for the preview.")
    if folder.is_dir() and not all(_OWN_NAME.fullmatch(path.name) for path in folder.iterdir()):
        raise UsageError(
            f"{folder} contains files that are not a preview.",
            hint="Choose a new or empty folder for the preview.",
        )


def _check_same(folder: Path, existing: ManifestHeader, options: PreviewOptions) -> None:
    roots = _real_roots(options)
    origin = recall_origin(existing.preview)
    names = tuple(root.name for root in roots)
    same = origin.roots == roots if origin else existing.roots == names
    if not same:
        raise UsageError(
            f"{folder} contains the preview of another library: {', '.join(existing.roots)}.",
            hint="Choose a new folder for this one.",
        )
    differing = [
        f"{name} was {existing.settings.get(name, '')!r}, is now {value!r}"
        for name, value in _settings(options).items()
        if existing.settings.get(name, "") != value
    ]
    if differing:
        raise UsageError(
            f"{folder} contains a preview with other settings: {'; '.join(differing)}.",
            hint="Use the same settings to continue it, or choose a new folder.",
        )


def _settings(options: PreviewOptions) -> dict[str, str]:
    """Return all settings that a picture depends on."""
    preset = options.tag.paint.preset
    settings = {
        "model": preset.name,
        "base": preset.base,
        "clap": preset.clap,
        "adapter": preset.adapter or "",
        "negative": preset.negative,
        "windows": preset.windows,
        "padding": preset.padding or "",
        "styles": ", ".join(preset.styles),
        "size": options.tag.paint.size or "",
        "seed": options.tag.seed,
        **asdict(preset.sampling),
    }
    if preset.loras:
        settings["loras"] = lora_texts(preset.loras)
    if preset.vae:
        settings["vae"] = preset.vae
    return {name: str(value) for name, value in settings.items()}


def _real_roots(options: PreviewOptions) -> tuple[Path, ...]:
    return tuple(map(_real, roots_of(options.tag.plan.paths)))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
