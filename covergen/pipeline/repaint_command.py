"""Reconstruct the command that paints a cover again, from the cover's provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import covergen
from covergen.core.album import Album
from covergen.core.cover import DEFAULT_SCHEDULER, PRINTS, Provenance, Sampling
from covergen.core.cover_encoding import read_jpeg_quality
from covergen.core.errors import ModelError
from covergen.core.picture import Picture
from covergen.core.seeds import seed_for
from covergen.library.scanning.album_folder import above_discs
from covergen.library.scanning.artist_folders import ARTIST_NAMES, artist_folders
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.change import file_hash
from covergen.models.locate import locate, revision_of
from covergen.models.presets import load_presets, lora_texts
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.album_words import still_knows
from covergen.pipeline.events import CheckInterrupted
from covergen.pipeline.model_choice import DEFAULT_MODEL, DIFFUSION_OPTIONS, NO_ADAPTER

if TYPE_CHECKING:
    from covergen.models.part_files import Kind
    from covergen.models.presets import Preset


Option = str | int | float | Literal[True] | None
"""The value of an option: True for a flag, None for a value that the user has to supply."""

_NO_MUSIC = (
    "It was painted for an artist or a playlist, for music that is not here, or for music whose"
    " tags or file names have changed since: there is no command to repaint it."
)
_NOT_RECORDED = (
    "An earlier version of covergen painted it, which did not record the run's seed: there is no"
    " command to repaint it."
)
_LATER_CANDIDATE = (
    "It was not the first cover that a preview offered for the album: there is no command to"
    " repaint it."
)
_NO_QUALITY = "Its JPEG quality is not recorded, so the repainted file may have another size."
_IN_THE_WAY = "Move the picture away first: picture files are never overwritten."


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaint:
    """The command that paints a cover again; `command` is "" if there is none.

    `options` are by parameter name. `paths` select the music. `provisos` are sentences that explain
    why there is no command, or what else is needed.
    """

    command: Literal["", "tag", "generate"] = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    provisos: tuple[str, ...] = ()


def repaint(
    provenance: Provenance,
    picture: Picture,
    path: Path,
    check_interrupted: CheckInterrupted,
    *,
    adapter_hint: str = "",
) -> Repaint:
    """Return the command that paints `picture` again, which is in the file `path` or is that file.

    A cover painted for a single track is painted into a new picture file, an album's cover into
    its tracks, an artist's picture into its folder. Looks for the music only in the folder of
    `path`, and for the adapter among those of the presets and at `adapter_hint`. Raises whatever
    `check_interrupted` raises.
    """
    if not provenance.per:
        return Repaint(provisos=(_NOT_RECORDED,))
    path = path.absolute()
    found = _painted_for(path, provenance, check_interrupted)
    artist = None if found else _artist_at(path, provenance, check_interrupted)
    if artist:
        found = artist, (artist.folder,)
    if found is None:
        return Repaint(provisos=(_NO_MUSIC,))
    album, paths = found
    presets = load_presets()
    options = _model_options(provenance, presets, adapter_hint) | _encoding_options(picture)
    provisos = list(_provisos(provenance, presets, options))
    if provenance.per == "track":
        options |= {"seed": provenance.seed, "output": f"cover{picture.extension}"}
        return Repaint(command="generate", options=options, paths=paths, provisos=tuple(provisos))
    if seed_for(provenance.album_key, provenance.run_seed) != provenance.seed:
        return Repaint(provisos=(_LATER_CANDIDATE,))
    options |= {"seed": provenance.run_seed}
    if artist:
        options |= {"artists": True, "artist_name": path.stem}
        provisos.append(_IN_THE_WAY)
        return Repaint(command="tag", options=options, paths=paths, provisos=tuple(provisos))
    options |= {"force": True, "per": "album"}
    if path.parent == album.folder and path.name == f"cover{picture.extension}":
        options |= {"no_embed": True, "sidecar": True}
        provisos.append(_IN_THE_WAY)
    return Repaint(command="tag", options=options, paths=paths, provisos=tuple(provisos))


def _painted_for(
    path: Path, provenance: Provenance, check_interrupted: CheckInterrupted
) -> tuple[Album, tuple[Path, ...]] | None:
    """Return the album that was painted, and the paths that select its tracks."""
    folder = above_discs(path.parent)
    options = ScanOptions(per="track" if provenance.per == "track" else "album", bare=True)
    with closing(ScanCache()) as scan_cache:
        # A file that a scan of the folder skips may have been named on the command line.
        for place in (folder, path):
            albums, alone = _albums_at(place, options, scan_cache, check_interrupted)
            mine = [album for album in albums if album.key == provenance.album_key]
            # Prefer the album that contains `path`: others may have the same tags.
            mine.sort(key=lambda album: all(track.path != path for track in album.tracks))
            if mine:
                tracks = tuple(track.path for track in mine[0].tracks)
                whole = alone and len(albums) == 1 < len(tracks)
                return mine[0], (folder,) if whole else tracks
    return None


def _artist_at(
    path: Path, provenance: Provenance, check_interrupted: CheckInterrupted
) -> Album | None:
    """Return the artist whose picture was painted for the folder of `path`, if it is that file."""
    if path.stem not in ARTIST_NAMES:
        return None
    options = ScanOptions(bare=True)
    with closing(ScanCache()) as scan_cache:
        albums = scan([path.parent], options, scan_cache, check_interrupted=check_interrupted)
        for item in artist_folders(albums):
            if (
                isinstance(item, Album)
                and item.folder == path.parent
                and item.key == provenance.album_key
            ):
                return item
    return None


def _albums_at(
    place: Path, options: ScanOptions, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> tuple[list[Album], bool]:
    """Return the albums of a file or folder (with its discs), and whether there are no others."""
    albums: list[Album] = []
    for album in scan([place], options, scan_cache, check_interrupted=check_interrupted):
        if isinstance(album, Album):
            if albums and album.folder != albums[0].folder:
                return albums, False
            albums.append(album)
    return albums, True


def _model_options(
    provenance: Provenance, presets: dict[str, Preset], adapter_hint: str
) -> dict[str, Option]:
    """Return every setting as an explicit option, so that defaults do not matter."""
    procedural = provenance.base == PROCEDURAL
    options: dict[str, Option] = {
        # If the cover's model is gone, any model will do: every setting is explicit anyway.
        "model": provenance.model if provenance.model in presets else DEFAULT_MODEL,
        "base": provenance.base,
        "clap": provenance.clap,
        "adapter": _adapter_source(provenance, presets, adapter_hint),
        "windows": provenance.windows,
        "padding": provenance.padding,
    }
    for sampling in fields(Sampling):
        options[sampling.name] = getattr(provenance, sampling.name)
    options |= {
        "style": provenance.style,
        "negative": provenance.negative,
        "paint_size": provenance.painted_size,
        "dtype": provenance.dtype,
    }
    drawn = procedural or (provenance.finish, provenance.title) != ("none", "none")
    unused = set() if drawn else {"paint_size"}
    unused |= {name for name in ("padding", "dtype", "paint_size", "steps") if not options[name]}
    unused |= {*DIFFUSION_OPTIONS, "negative"} if procedural else set()
    unused |= set() if provenance.finish in PRINTS else {"inks"}
    unused |= {"scheduler"} if provenance.scheduler == DEFAULT_SCHEDULER else set()
    return {name: value for name, value in options.items() if name not in unused}


def _provisos(
    provenance: Provenance, presets: dict[str, Preset], options: Mapping[str, Option]
) -> Iterator[str]:
    yield from _missing(provenance)
    yield from _parts_changed(provenance, presets)
    if provenance.version != covergen.__version__:
        yield (
            f"It was painted by covergen {provenance.version}, and this is {covergen.__version__}:"
            " the picture may differ."
        )
    if provenance.device not in ("", "cpu"):
        yield (
            f"It was painted on {provenance.device}: another device rounds differently, which is"
            " visible at most in bf16 and fp16."
        )
    preset = presets.get(provenance.model)
    if provenance.prompt and preset and not still_knows(preset, provenance):
        yield "Its vocabulary has changed since, so that other words may be found for the music."
    if options["adapter"] is None:
        yield (
            "Replace ADAPTER with the file whose SHA-256 is"
            f" {provenance.adapter}: none of your models has it."
        )
    if options["format"] == "jpeg" and "jpeg_quality" not in options:
        yield _NO_QUALITY


def _missing(provenance: Provenance) -> Iterator[str]:
    parts: tuple[tuple[str, Kind], ...] = ((provenance.base, "base"), (provenance.clap, "clap"))
    for source, kind in parts:
        try:
            locate(source, kind)
        except ModelError as error:
            yield error.message


def _parts_changed(provenance: Provenance, presets: dict[str, Preset]) -> Iterator[str]:
    """Yield what no option can say: other LoRAs or another VAE, and another version of the base."""
    preset = presets.get(provenance.model)
    for name, recorded, current in (
        ("LoRAs", provenance.loras, _loras_now(preset, provenance) if preset else ""),
        ("VAE", provenance.vae, (preset.vae or "") if preset else ""),
    ):
        if recorded != current:
            yield f"It was painted with other {name} than the model has: {recorded or 'none'}."
    with suppress(ModelError):
        if provenance.revision not in ("", revision_of(locate(provenance.base, "base"))):
            yield f"It was painted with the base's revision {provenance.revision}."


def _loras_now(preset: Preset, provenance: Provenance) -> str:
    """Describe a preset's LoRAs as in the provenance, which may lack hashes; "" if one is gone."""
    if "SHA-256" not in provenance.loras:
        return lora_texts(preset.loras)
    with suppress(ModelError, OSError):
        return lora_texts(
            preset.loras, [file_hash(locate(lora.source, "lora")) for lora in preset.loras]
        )
    return ""


def _adapter_source(provenance: Provenance, presets: dict[str, Preset], hint: str) -> str | None:
    """Return the first adapter whose hash matches, None if there is none."""
    if provenance.adapter == NO_ADAPTER:
        return NO_ADAPTER
    own_first = sorted(presets.values(), key=lambda preset: preset.name != provenance.model)
    sources = [*(preset.adapter for preset in own_first), hint]
    for source in dict.fromkeys(filter(None, sources)):
        with suppress(ModelError, OSError):
            if file_hash(locate(source, "adapter")) == provenance.adapter:
                return source
    return None


def _encoding_options(picture: Picture) -> dict[str, Option]:
    options: dict[str, Option] = {"size": picture.width}
    if picture.mime == "image/png":
        return options | {"format": "png"}
    quality = read_jpeg_quality(picture.data)
    return options | {"format": "jpeg"} | ({"jpeg_quality": quality} if quality else {})
