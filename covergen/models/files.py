"""Which files make up a part of a model: the few that covergen reads out of the many there are."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["KINDS", "Kind", "Selection", "names_in", "select"]

Kind = Literal["base", "clap", "adapter"]
KINDS: tuple[Kind, ...] = ("base", "clap", "adapter")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """Of each row of `needed` one file must be there, the first by preference.

    Files that match `useful` are read where they exist.
    """

    needed: tuple[tuple[str, ...], ...]
    useful: tuple[str, ...] = ()


def _weights(stem: str) -> tuple[str, str]:
    return f"{stem}.safetensors", f"{stem}.fp16.safetensors"


# The layouts of save_pretrained in diffusers and transformers. Of weights only safetensors, which
# cannot run code, but for CLAP: its reference repository holds nothing else than a .bin.
_RECIPES: dict[Kind, _Recipe] = {
    "base": _Recipe(
        needed=(
            ("unet/config.json",),
            _weights("unet/diffusion_pytorch_model"),
            ("vae/config.json",),
            _weights("vae/diffusion_pytorch_model"),
            ("text_encoder/config.json",),
            _weights("text_encoder/model"),
            ("tokenizer/tokenizer_config.json",),
            ("tokenizer/tokenizer.json", "tokenizer/vocab.json"),
            ("tokenizer/tokenizer.json", "tokenizer/merges.txt"),
            ("scheduler/scheduler_config.json",),
        ),
        useful=("model_index.json", "tokenizer/*.json"),
    ),
    "clap": _Recipe(
        needed=(("config.json",), ("model.safetensors", "pytorch_model.bin")),
        useful=("preprocessor_config.json",),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a part, relative to its folder.

    `fault` says why they do not make up a whole part ("lacks vae/config.json"); "" if they do.
    """

    files: tuple[str, ...]
    fault: str = ""


def select(kind: Kind, names: Collection[str]) -> Selection:
    """Choose from the names of the files in a folder or repository, relative to it, with "/"."""
    if kind == "adapter":
        return _select_adapter(names)
    recipe = _RECIPES[kind]
    found = {row: next((name for name in row if name in names), None) for row in recipe.needed}
    lacking = [" or ".join(row) for row, name in found.items() if name is None]
    needed = {name for name in found.values() if name is not None}
    useful = {n for n in names if any(fnmatchcase(n, pattern) for pattern in recipe.useful)}
    return Selection(
        files=tuple(sorted(needed | useful)),
        fault=f"lacks {_listed(lacking)}" if lacking else "",
    )


def names_in(folder: Path) -> set[str]:
    """The files in a folder and in its sub-folders, one level down, as `select` takes them."""
    return {
        path.relative_to(folder).as_posix()
        for pattern in ("*", "*/*")
        for path in folder.glob(pattern)
        if path.is_file()
    }


def _listed(names: list[str]) -> str:
    more = len(names) - 4
    return ", ".join(names if more <= 0 else [*names[:4], f"and {more} more"])


def _select_adapter(names: Collection[str]) -> Selection:
    if "adapter.safetensors" in names:
        return Selection(files=("adapter.safetensors",))
    found = sorted(n for n in names if n.endswith(".safetensors") and "/" not in n)
    if not found:
        return Selection(files=(), fault="holds no .safetensors file")
    if len(found) > 1:
        return Selection(files=(), fault=f"holds several files to choose from: {_listed(found)}")
    return Selection(files=tuple(found))
