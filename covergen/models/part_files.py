"""Select the files of a model part that covergen reads from those in a folder or repository."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

Kind = Literal["base", "clap", "adapter", "lora", "vae"]
KINDS: tuple[Kind, ...] = ("base", "clap", "adapter", "lora", "vae")

_INDEX = "model_index.json"  # lists the components of a diffusers pipeline, with their classes


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
        optional=(_INDEX, "tokenizer/*.json"),
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
    "vae": _Layout(required=(("config.json",), _weights("diffusion_pytorch_model"))),
}

# The components of Stable Diffusion 1.x and 2.x. A latent consistency model has the same, but its
# UNet has another input.
_STABLE_DIFFUSION = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
}
_WITHOUT_CLASS = {"tokenizer", "scheduler"}
_OTHER_INPUTS = "LatentConsistencyModelPipeline"

# Components that are never loaded: they check pictures or mark them, or serve IP-Adapters.
_UNUSED = {"safety_checker", "feature_extractor", "image_encoder", "watermarker"}
_WITHOUT_WEIGHTS = ("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "Guider")
_CONFIGS = ("*.json", "*.txt", "*.model", "*.jinja")
_WEIGHTS = re.compile(
    r"(diffusion_pytorch_)?model(\.(?P<variant>\w+))?(-(?P<number>\d{5})-of-(?P<count>\d{5}))?"
    r"(\.(?P<last_variant>\w+))?\.safetensors"  # before diffusers 0.26, shards had it last
)
_VARIANTS = (None, "fp16", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a part, relative to its folder.

    `fault` is the reason why the part is incomplete ("lacks vae/config.json"), or "". `variant` is
    that of a pipeline's weights, None for files without one in their names.
    """

    files: tuple[str, ...]
    fault: str = ""
    variant: str | None = None


def select(
    kind: Kind,
    names: Collection[str],
    read: Callable[[str], bytes],
    *,
    variant: str | None = None,
) -> Selection:
    """Select the files of a part from `names`, the relative POSIX paths in its folder.

    For a base that is not like Stable Diffusion 1.x or 2.x, these are the components listed in its
    model_index.json, the only file that is passed to `read`. `variant` is the preferred variant of
    the weights, None for files without one in their names.
    """
    if kind in ("adapter", "lora"):
        return _select_file(kind, names)
    if kind == "base" and _INDEX in names:
        index = _parse_index(read(_INDEX))
        if index and not _is_stable_diffusion(index):
            return _select_pipeline(index, names, variant)
    return _select_layout(_LAYOUTS[kind], names, variant)


def select_in(folder: Path, kind: Kind, *, variant: str | None = None) -> Selection:
    """Select the files of a part in a local folder."""
    return select(
        kind, names_in(folder), lambda name: (folder / name).read_bytes(), variant=variant
    )


def is_pipeline(folder: Path) -> bool:
    """Whether a base is not like Stable Diffusion 1.x or 2.x, so that diffusers has to paint."""
    file = folder / _INDEX
    index = _parse_index(file.read_bytes()) if file.is_file() else {}
    return bool(index) and not _is_stable_diffusion(index)


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


def _parse_index(data: bytes) -> dict[str, Any]:
    """Return the contents of a model_index.json, empty if they are damaged."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _components(index: Mapping[str, Any]) -> dict[str, str]:
    """Return the class of each component that is present and used."""
    return {
        name: str(value[1])
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[1] and name[:1] != "_"
    }


def _is_stable_diffusion(index: Mapping[str, Any]) -> bool:
    components = _components(index)
    others = components.keys() - _STABLE_DIFFUSION.keys() - _WITHOUT_CLASS - _UNUSED
    return (
        not others
        and index.get("_class_name") != _OTHER_INPUTS
        and all(components.get(name) == cls for name, cls in _STABLE_DIFFUSION.items())
    )


def _select_layout(layout: _Layout, names: Collection[str], variant: str | None) -> Selection:
    rows = {row: _preferred(row, names, variant) for row in layout.required}
    missing = [" or ".join(row) for row, name in rows.items() if name is None]
    required = {name for name in rows.values() if name is not None}
    optional = {n for n in names if any(fnmatchcase(n, pattern) for pattern in layout.optional)}
    return Selection(files=tuple(sorted(required | optional)), fault=_lacking(missing))


def _preferred(row: tuple[str, ...], names: Collection[str], variant: str | None) -> str | None:
    """Return the first name of a row that exists, or the one of the preferred variant."""
    present = [name for name in row if name in names]
    preferred = [name for name in present if variant and f".{variant}." in name]
    return next(iter(preferred + present), None)


def _select_pipeline(
    index: Mapping[str, Any], names: Collection[str], variant: str | None
) -> Selection:
    """Select the configs of each component and its weights in one variant, perhaps in shards.

    As in diffusers, a component without the variant falls back to weights without one.
    """
    components = {n: cls for n, cls in _components(index).items() if n not in _UNUSED}
    files: dict[str, set[str]] = {name: set() for name in components}
    for name in names:
        folder, _, file = name.partition("/")
        if folder in files and "/" not in file:
            files[folder].add(file)
    with_weights = [n for n, cls in components.items() if not cls.endswith(_WITHOUT_WEIGHTS)]
    chosen = _variant([files[name] for name in with_weights], variant)
    selected, missing = {_INDEX}, []
    for name in components:
        configs = {f for f in files[name] if any(fnmatchcase(f, p) for p in _CONFIGS)}
        weights = _weights_of(files[name], chosen) if name in with_weights else set()
        selected |= {f"{name}/{file}" for file in configs | weights}
        if not configs:
            missing.append(f"{name}/")
        elif name in with_weights and not weights:
            missing.append(f"the weights of {name} (.safetensors)")
    return Selection(files=tuple(sorted(selected)), fault=_lacking(missing), variant=chosen)


def _variant(components: list[set[str]], preferred: str | None) -> str | None:
    """Return the variant that the fewest components lack, the preferred one among equals."""
    present = {None, *(variant for files in components for variant in _by_variant(files))}
    candidates = [v for v in dict.fromkeys((preferred, *_VARIANTS)) if v in present]
    return min(candidates, key=lambda v: sum(not _weights_of(files, v) for files in components))


def _weights_of(files: Iterable[str], variant: str | None) -> set[str]:
    """Return a component's weight files in a variant, or else without one; empty if incomplete."""
    by_variant = _by_variant(files)
    for wanted in dict.fromkeys((variant, None)):
        matches = by_variant.get(wanted, [])
        if matches and len(matches) >= max(int(m["count"] or 1) for m in matches):
            return {m.string for m in matches}
    return set()


def _by_variant(files: Iterable[str]) -> dict[str | None, list[re.Match[str]]]:
    found: dict[str | None, list[re.Match[str]]] = {}
    for match in filter(None, map(_WEIGHTS.fullmatch, files)):
        found.setdefault(match["variant"] or match["last_variant"], []).append(match)
    return found


def _lacking(missing: list[str]) -> str:
    return f"lacks {_listed(missing)}" if missing else ""


def _listed(names: list[str]) -> str:
    more = len(names) - 4
    return ", ".join(names if more <= 0 else [*names[:4], f"and {more} more"])


def _select_file(kind: Kind, names: Collection[str]) -> Selection:
    """Select the only .safetensors file, or the one with the usual name."""
    usual = {"adapter": "adapter.safetensors", "lora": "pytorch_lora_weights.safetensors"}[kind]
    if usual in names:
        return Selection(files=(usual,))
    found = sorted(n for n in names if n.endswith(".safetensors") and "/" not in n)
    if not found:
        return Selection(files=(), fault="contains no .safetensors file")
    if len(found) > 1:
        return Selection(files=(), fault=f"contains several {kind}s: {_listed(found)}")
    return Selection(files=tuple(found))
