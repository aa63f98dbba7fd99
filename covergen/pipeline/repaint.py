"""Reconstruct the command that paints a cover again, from the cover's provenance."""

from __future__ import annotations

import io
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import covergen
from covergen.core.errors import ModelError
from covergen.core.picture import open_picture
from covergen.core.seeds import seed_for
from covergen.core.types import Album
from covergen.library.scanning.folders import above_discs
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.change import file_hash
from covergen.models.locate import locate
from covergen.models.presets import load_presets
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.model import DEFAULT_MODEL, DIFFUSION_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    from covergen.core.picture import Picture
    from covergen.core.types import Provenance
    from covergen.models.files import Kind
    from covergen.models.presets import Preset
    from covergen.pipeline.events import CheckInterrupted

    _Per = Literal["album", "track"]

__all__ = ["Repaint", "repaint"]

_DIFFUSION = [name.replace("_", "-") for name in DIFFUSION_OPTIONS]
_SEEDS_TRIED = 10_000
_BEST_QUALITY = 95

_NO_MUSIC = (
    "It was painted for music that is not here, or whose tags or file names have changed since:"
    " there is no command to repaint it."
)
_NO_SEED = (
    f"The run's --seed is not one of the first {_SEEDS_TRIED:,}: there is no command to repaint the"
    " album's cover."
)
_IN_THE_WAY = "Move the picture away first: cover files are never overwritten."


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaint:
    """The words of a command; empty if no command can paint the cover again.

    `provisos` are sentences that explain why not, or what else is needed.
    """

    command: tuple[str, ...] = ()
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
    its tracks. Looks for the music only in the folder of `path`, and for the adapter among those
    of the presets and at `adapter_hint`. Raises whatever `check_interrupted` raises.
    """
    found = _painted_for(path.absolute(), provenance.album_key, check_interrupted)
    if found is None:
        return Repaint(provisos=(_NO_MUSIC,))
    album, paths = found
    options, provisos = _model_options(provenance, adapter_hint)
    options += _encoding_options(picture)
    if _was_painted_for_track(album, check_interrupted):
        options += ("--seed", str(provenance.seed), "--output", f"cover{picture.extension}")
        return Repaint(command=_command("generate", options, paths), provisos=provisos)
    seed = _album_seed(provenance)
    if seed is None:
        return Repaint(provisos=(_NO_SEED,))
    options += ("--seed", str(seed), "--force", "--per", "album")
    if path.parent.absolute() == album.folder and path.name == f"cover{picture.extension}":
        options += ("--no-embed", "--sidecar")
        provisos += (_IN_THE_WAY,)
    return Repaint(command=_command("tag", options, paths), provisos=provisos)


def _command(name: str, options: tuple[str, ...], paths: tuple[Path, ...]) -> tuple[str, ...]:
    return ("covergen", name, *options, *map(str, paths))


def _painted_for(
    path: Path, key: str, check_interrupted: CheckInterrupted
) -> tuple[Album, tuple[Path, ...]] | None:
    """Return the album with that key in a file's folder, and the paths that select its tracks."""
    folder = above_discs(path.parent)
    # A file that a scan of the folder skips may have been named on the command line.
    attempts: tuple[tuple[Path, _Per], ...]
    attempts = (folder, "album"), (folder, "track"), (path, "track")
    with closing(ScanCache()) as scan_cache:
        for place, per in attempts:
            albums, alone = _albums_at(place, per, scan_cache, check_interrupted)
            mine = [album for album in albums if album.key == key]
            # Prefer the album that contains `path`: others may have the same tags.
            mine.sort(key=lambda album: all(track.path != path for track in album.tracks))
            if mine:
                tracks = tuple(track.path for track in mine[0].tracks)
                whole = per == "album" and alone and len(albums) == 1 < len(tracks)
                return mine[0], (folder,) if whole else tracks
    return None


def _albums_at(
    place: Path, per: _Per, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> tuple[list[Album], bool]:
    """Return the albums of a file or folder (with its discs), and whether there are no others."""
    albums: list[Album] = []
    for album in scan(
        [place], ScanOptions(per=per, bare=True), scan_cache, check_interrupted=check_interrupted
    ):
        if isinstance(album, Album):
            if albums and album.folder != albums[0].folder:
                return albums, False
            albums.append(album)
    return albums, True


def _was_painted_for_track(album: Album, check_interrupted: CheckInterrupted) -> bool:
    """Whether a cover was painted for a single track, as `generate` does."""
    if len(album.tracks) > 1:
        return False
    with closing(ScanCache()) as scan_cache:
        singles, _ = _albums_at(album.tracks[0].path, "track", scan_cache, check_interrupted)
    return [single.key for single in singles] == [album.key]


def _album_seed(provenance: Provenance) -> int | None:
    """Return the --seed from which `tag` derived the album's seed, None if it is not found."""
    key = provenance.album_key
    tried = range(_SEEDS_TRIED)
    return next((seed for seed in tried if seed_for(key, seed) == provenance.seed), None)


def _model_options(
    provenance: Provenance, adapter_hint: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return every setting as an explicit option, so that defaults do not matter; and provisos."""
    presets = load_presets()
    provisos = list(_missing(provenance))
    adapter = _adapter_source(provenance, presets, adapter_hint)
    if provenance.version != covergen.__version__:
        provisos.append(
            f"It was painted by covergen {provenance.version}, and this is {covergen.__version__}:"
            " the picture may differ."
        )
    if provenance.device not in ("", "cpu"):
        provisos.append(
            f"It was painted on {provenance.device}: another device rounds differently, which is"
            " visible at most in bf16 and fp16."
        )
    if adapter is None:
        provisos.append(
            "Replace ADAPTER with the file whose SHA-256 is"
            f" {provenance.adapter}: none of your models has it."
        )
    options = {
        # If the cover's model is gone, any model will do: every setting is explicit anyway.
        "model": provenance.model if provenance.model in presets else DEFAULT_MODEL,
        "base": provenance.base,
        "clap": provenance.clap,
        "adapter": adapter or "ADAPTER",
        "windows": provenance.windows,
        "padding": provenance.padding,
        "steps": provenance.steps,
        "guidance": provenance.guidance,
        "scheduler": provenance.scheduler,
        "guided-from": provenance.guided_from,
        "guided-until": provenance.guided_until,
        "reuse": provenance.reuse,
        "style": provenance.style,
        "finish": provenance.finish,
        "inks": provenance.inks,
        "title": provenance.title,
        "paint-size": provenance.painted_size,
        "dtype": provenance.dtype,
    }
    if provenance.base == PROCEDURAL:
        options = {name: v for name, v in options.items() if name not in _DIFFUSION}
    if provenance.finish == "none":
        del options["inks"]
    drawn = provenance.base == PROCEDURAL or provenance.finish != "none"
    if not drawn and provenance.title == "none":
        del options["paint-size"]
    for name in options.keys() & {"padding", "dtype", "paint-size"}:
        if not options[name]:
            del options[name]
    words = (word for name, value in options.items() for word in (f"--{name}", str(value)))
    return tuple(words), tuple(provisos)


def _missing(provenance: Provenance) -> Iterator[str]:
    parts: tuple[tuple[str, Kind], ...] = ((provenance.base, "base"), (provenance.clap, "clap"))
    for source, kind in parts:
        try:
            locate(source, kind)
        except ModelError as error:
            yield error.message


def _adapter_source(provenance: Provenance, presets: dict[str, Preset], hint: str) -> str | None:
    """Return the first adapter whose hash matches, None if there is none."""
    own_first = sorted(presets.values(), key=lambda preset: preset.name != provenance.model)
    sources = [*(preset.adapter for preset in own_first), hint]
    for source in dict.fromkeys(filter(None, sources)):
        with suppress(ModelError, OSError):
            if file_hash(locate(source, "adapter")) == provenance.adapter:
                return source
    return None


def _encoding_options(picture: Picture) -> tuple[str, ...]:
    options: tuple[str, ...] = ("--size", str(picture.width))
    if picture.mime == "image/png":
        return (*options, "--format", "png")
    options += ("--format", "jpeg")
    quality = _jpeg_quality(picture.data)
    return (*options, "--jpeg-quality", str(quality)) if quality else options


def _jpeg_quality(data: bytes) -> int | None:
    """Return the JPEG quality with the same quantization tables, None if there is none."""
    from PIL import Image

    def tables(encoded: bytes) -> object:
        with open_picture(io.BytesIO(encoded)) as image:
            return getattr(image, "quantization", None)

    wanted, blank = tables(data), Image.new("RGB", (8, 8))
    for quality in range(_BEST_QUALITY, 0, -1):
        stream = io.BytesIO()
        blank.save(stream, "JPEG", quality=quality, subsampling=0)
        if tables(stream.getvalue()) == wanted:
            return quality
    return None
