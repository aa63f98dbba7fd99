"""The command that paints a cover again, from what the cover says of itself."""

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
from covergen.library.scanning.scan_cache import ScanMemory
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
    from covergen.pipeline.events import Checkpoint

    _Per = Literal["album", "track"]

__all__ = ["Repaint", "repaint"]

_DIFFUSION = [name.replace("_", "-") for name in DIFFUSION_OPTIONS]
_SEEDS_TRIED = 10_000
_BEST_QUALITY = 95

_NO_MUSIC = (
    "It was painted for music that does not lie here, or whose tags or names have changed since:"
    " no command is known."
)
_NO_SEED = (
    f"The --seed of the run is none of the first {_SEEDS_TRIED:,}: no command is known that paints"
    " the whole album's cover again."
)
_IN_THE_WAY = "Move the picture away first: a cover file is never overwritten."


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaint:
    """The words of a command; none where no command can paint the cover again.

    `provisos` are sentences that say why not, or what else it takes.
    """

    command: tuple[str, ...] = ()
    provisos: tuple[str, ...] = ()


def repaint(
    provenance: Provenance,
    picture: Picture,
    path: Path,
    checkpoint: Checkpoint,
    *,
    adapter_hint: str = "",
) -> Repaint:
    """Tell how to paint a cover again: `picture`, which lies in `path` or is that file.

    A track's cover is painted into a new picture file, an album's into its tracks once more, be it
    one. Looks for the music in the folder of `path` alone, and for the adapter among those of the
    models and at `adapter_hint`.
    """
    found = _painted_for(path.absolute(), provenance.album_key, checkpoint)
    if found is None:
        return Repaint(provisos=(_NO_MUSIC,))
    album, paths = found
    options, provisos = _model_options(provenance, adapter_hint)
    options += _encoding_options(picture)
    if _is_a_tracks_own(album, checkpoint):
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
    path: Path, key: str, checkpoint: Checkpoint
) -> tuple[Album, tuple[Path, ...]] | None:
    """The album of that key in a file's folder, and the paths that name just its tracks."""
    folder = above_discs(path.parent)
    # A file that a walk passes over may still have been named outright.
    attempts: tuple[tuple[Path, _Per], ...]
    attempts = (folder, "album"), (folder, "track"), (path, "track")
    with closing(ScanMemory()) as memory:
        for place, per in attempts:
            albums, alone = _albums_at(place, per, memory, checkpoint)
            mine = [album for album in albums if album.key == key]
            # A track's own picture is of no other track that happens to have the same tags.
            mine.sort(key=lambda album: all(track.path != path for track in album.tracks))
            if mine:
                tracks = tuple(track.path for track in mine[0].tracks)
                whole = per == "album" and alone and len(albums) == 1 < len(tracks)
                return mine[0], (folder,) if whole else tracks
    return None


def _albums_at(
    place: Path, per: _Per, memory: ScanMemory, checkpoint: Checkpoint
) -> tuple[list[Album], bool]:
    """The albums of a file, or in a folder and its discs; whether there are no others below it."""
    albums: list[Album] = []
    for album in scan([place], ScanOptions(per=per, bare=True), memory, checkpoint=checkpoint):
        if isinstance(album, Album):
            if albums and album.folder != albums[0].folder:
                return albums, False
            albums.append(album)
    return albums, True


def _is_a_tracks_own(album: Album, checkpoint: Checkpoint) -> bool:
    """Whether a cover was painted for a track as such, which is all that `generate` paints."""
    if len(album.tracks) > 1:
        return False
    with closing(ScanMemory()) as memory:
        singles, _ = _albums_at(album.tracks[0].path, "track", memory, checkpoint)
    return [single.key for single in singles] == [album.key]


def _album_seed(provenance: Provenance) -> int | None:
    """The user's seed, of which `tag` makes the seed of each album."""
    key = provenance.album_key
    tried = range(_SEEDS_TRIED)
    return next((seed for seed in tried if seed_for(key, seed) == provenance.seed), None)


def _model_options(
    provenance: Provenance, adapter_hint: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every setting outright, so that no other default can take its place, and the provisos."""
    presets = load_presets()
    provisos = list(_missing(provenance))
    adapter = _adapter_source(provenance, presets, adapter_hint)
    if provenance.version != covergen.__version__:
        provisos.append(
            f"covergen {provenance.version} painted it, and this is {covergen.__version__}:"
            " the picture may come out otherwise."
        )
    if adapter is None:
        provisos.append(
            "ADAPTER stands for the file whose SHA-256 is"
            f" {provenance.adapter}: none of your models has it."
        )
    options = {
        # The default lends its name where a cover's own model is gone: all else is given anyway.
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
    }
    if provenance.base == PROCEDURAL:
        options = {name: v for name, v in options.items() if name not in _DIFFUSION}
    if provenance.finish == "none":
        del options["inks"]
    if not provenance.padding:
        del options["padding"]
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
    """The first adapter that has the right bytes."""
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
    """The quality that has the same quantization tables, by which it is known."""
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
