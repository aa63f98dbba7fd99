"""Select the files of a model part that covergen reads from those in a folder or repository."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["KINDS", "Kind", "Selection", "lacks_tokenizer", "names_in", "select"]

Kind = Literal["base", "clap", "adapter"]
KINDS: tuple[Kind, ...] = ("base", "clap", "adapter")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The files of a part: one of each row of `required`, the first if there are several.

    Files that match a pattern of `optional` are read if they exist.
    """

    required: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...] = ()


def _weights(stem: str) -> tuple[str, str]:
    return f"{stem}.safetensors", f"{stem}.fp16.safetensors"


# The layouts that save_pretrained writes in diffusers and transformers. Weights must be
# safetensors, which cannot run code, except for CLAP: its reference repository has only a .bin.
_LAYOUTS: dict[Kind, _Layout] = {
    "base": _Layout(
        required=(
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
        optional=("model_index.json", "tokenizer/*.json"),
    ),
    "clap": _Layout(
        required=(("config.json",), ("model.safetensors", "pytorch_model.bin")),
        optional=(
            "preprocessor_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "vocab.json",
            "merges.txt",
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a part, relative to its folder.

    `fault` is the reason why the part is incomplete ("lacks vae/config.json"), or "".
    """

    files: tuple[str, ...]
    fault: str = ""


def select(kind: Kind, names: Collection[str]) -> Selection:
    """Select the files of a part from `names`, the relative POSIX paths in its folder."""
    if kind == "adapter":
        return _select_adapter(names)
    layout = _LAYOUTS[kind]
    found = {row: next((name for name in row if name in names), None) for row in layout.required}
    missing = [" or ".join(row) for row, name in found.items() if name is None]
    required = {name for name in found.values() if name is not None}
    optional = {n for n in names if any(fnmatchcase(n, pattern) for pattern in layout.optional)}
    return Selection(
        files=tuple(sorted(required | optional)),
        fault=f"lacks {_listed(missing)}" if missing else "",
    )


def lacks_tokenizer(kind: Kind, names: Collection[str]) -> bool:
    """Whether these are the files of a CLAP model without those of its text encoder's tokenizer."""
    return kind == "clap" and not {"tokenizer.json", "vocab.json"} & set(names)


def names_in(folder: Path) -> set[str]:
    """Return the files of a folder and its direct subfolders, in the form that `select` takes."""
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
        return Selection(files=(), fault="contains no .safetensors file")
    if len(found) > 1:
        return Selection(files=(), fault=f"contains several adapters: {_listed(found)}")
    return Selection(files=tuple(found))
