"""Read and validate models.toml, both covergen's own and the user's."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from covergen.core.app_folders import config_folder
from covergen.core.cover import DTYPES, FINISHES, OFFLOADS, PADDINGS, SCHEDULERS, TITLES, Sampling
from covergen.core.errors import SettingsError, UsageError
from covergen.core.toml import read_toml
from covergen.models.sources import anchored


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A LoRA that is merged into the base with this weight; `source` as in Preset."""

    source: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A model in a models.toml: the sources of its parts and its sampling settings.

    `base`, `clap`, `adapter`, `vae` and the sources of `loras` are in the form that `locate` takes,
    with absolute paths. `windows` is the number of 10 s windows embedded per track; `padding` fills
    a window that is longer than the track: one of PADDINGS, or None for the CLAP model's own
    setting. Each album uses one of the `styles`, if any; guidance contrasts with the `negative`
    prompt. Without an adapter, the words of the prompt come from the `vocabulary` (None for the one
    in force) and, if CLAP has no text encoder, from a `mood` probe: both are paths, as in
    `parse_source`. `license`, `size` and `memory` are for display. `defined_in` is the models.toml.

    `pipeline`: diffusers paints with the base, even if it is like Stable Diffusion 1.x or 2.x. It
    then uses its own default for the sampling settings that are not `given`, at this `quality`.
    `variant` is that of the base's weights, `offload` one of OFFLOADS. `dtype` replaces --dtype
    auto, None for neither.
    """

    name: str
    description: str
    base: str
    clap: str
    adapter: str | None
    sampling: Sampling
    windows: int
    padding: str | None
    styles: tuple[str, ...]
    license: str
    size: str
    defined_in: Path
    negative: str = ""
    mood: str | None = None
    vocabulary: str | None = None
    memory: str = ""
    loras: tuple[Lora, ...] = ()
    vae: str | None = None
    pipeline: bool = False
    variant: str | None = None
    dtype: str | None = None
    offload: str = "auto"
    given: tuple[str, ...] = ()
    quality: str = "standard"


UNNAMED = "custom"
"""The name of a model that is not in a models.toml."""

_DRAFT_STEPS, _BEST_STEPS = 10, 50
_FEW_STEPS, _LITTLE_GUIDANCE = 8, 2.0  # of models that were distilled for a few steps
_FOR_DISTILLED = ("lcm", "tcd")  # schedulers
_REFERENCE = Sampling(steps=50, guidance=7.5, scheduler="ddpm")


def at_quality(preset: Preset, quality: str) -> Preset:
    """Adjust a model to one of QUALITIES; "standard" changes nothing.

    "reference" replaces all settings of the model by those of art-from-audio. "best" does not add
    steps to a model that was distilled for a few.
    """
    sampling = preset.sampling
    if quality == "reference":
        return replace(
            preset,
            sampling=_REFERENCE,
            windows=1,
            padding="silence",
            styles=(),
            negative="",
            given=("guidance", "scheduler", "steps"),
            quality=quality,
        )
    steps = sampling.steps if is_distilled(preset) else steps_at(sampling.steps, quality)
    sampling = replace(sampling, steps=steps)
    if quality == "draft":
        sampling = replace(sampling, guided_until=min(sampling.guided_until, 0.6))
    if quality == "best":
        sampling = replace(sampling, guided_from=0.0, guided_until=1.0, reuse=1)
    return replace(preset, sampling=sampling, quality=quality)


def is_distilled(preset: Preset) -> bool:
    """Whether a model's settings are those of one that was distilled to paint in a few steps."""
    sampling = preset.sampling
    few = sampling.steps <= _FEW_STEPS and sampling.guidance <= _LITTLE_GUIDANCE
    return few or sampling.scheduler in _FOR_DISTILLED


def steps_at(steps: int, quality: str) -> int:
    """Return the number of steps at one of QUALITIES, given that of "standard"."""
    limits = {"draft": min(steps, _DRAFT_STEPS), "best": max(steps, _BEST_STEPS)}
    return limits.get(quality, steps)


def lora_texts(loras: Sequence[Lora], hashes: Sequence[str] = ()) -> str:
    """Describe LoRAs in one line, with the SHA-256 of their files if given."""
    texts = [f"{lora.source} × {lora.weight:g}" for lora in loras]
    if hashes:
        texts = [f"{text} (SHA-256 {sha})" for text, sha in zip(texts, hashes, strict=True)]
    return ", ".join(texts)


def user_file() -> Path:
    """Return the path of the user's models.toml, which need not exist."""
    return config_folder() / "models.toml"


def load_presets(file: Path | None = None) -> dict[str, Preset]:
    """Read covergen's models and the user's, which replace those of the same name.

    `file` defaults to `user_file()` and need not exist. The parts of the models are not looked up.
    Raises SettingsError with all the problems of a file at once.
    """
    presets = own_presets()
    try:
        return presets | _read(file or user_file())
    except FileNotFoundError:
        return presets


def own_presets() -> dict[str, Preset]:
    """Read covergen's own models."""
    return _read(_own_file())


def find_preset(name: str, presets: Mapping[str, Preset]) -> Preset:
    """Return the model named `name`. Raises UsageError, which lists the known models."""
    if name in presets:
        return presets[name]
    raise UsageError(
        f"There is no model {name!r}.{_did_you_mean(name, presets)}",
        hint=f"The models are {', '.join(presets)}; add your own to {user_file()}.",
    )


def unnamed_preset(base: str, clap: str, adapter: str | None) -> Preset:
    """A model of parts given by hand: its settings are those of a table that has no other keys."""
    return _preset(UNNAMED, {"base": base, "clap": clap, "adapter": adapter}, Path())


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _own_file() -> Path:
    """Return the models.toml in the installed package, or next to it in a source checkout."""
    package = Path(__file__).parent.parent
    installed = package / "models.toml"
    return installed if installed.exists() else package.parent / "models.toml"


def _read(file: Path) -> dict[str, Preset]:
    tables = read_toml(file)
    problems = [p for name, table in tables.items() for p in _problems(name, table)]
    if problems:
        raise SettingsError(file, problems)
    return {name: _preset(name, table, file) for name, table in tables.items()}


def _preset(name: str, table: dict[str, Any], file: Path) -> Preset:
    values: dict[str, Any] = {key: rule.default for key, rule in _KEYS.items()} | table
    folder = file.absolute().parent
    for key in ("base", "clap", "adapter", "vae", "mood", "vocabulary"):
        if values[key] is not None:
            values[key] = anchored(values[key], folder)
    values["loras"] = tuple(_lora(entry, folder) for entry in values["loras"])
    names = [field.name for field in fields(Sampling)]
    values |= {name: float(values[name]) for name in ("guidance", "guided_from", "guided_until")}
    sampling = Sampling(**{name: values.pop(name) for name in names})
    values["styles"] = tuple(values["styles"])
    given = tuple(name for name in names if name in table)
    return Preset(name=name, sampling=sampling, defined_in=file, given=given, **values)


def _lora(entry: str | dict[str, Any], folder: Path) -> Lora:
    if isinstance(entry, str):
        return Lora(source=anchored(entry, folder))
    return Lora(source=anchored(entry["source"], folder), weight=float(entry.get("weight", 1)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and v.strip() for v in value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_source(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_loras(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_lora, value))


def _is_lora(entry: object) -> bool:
    if isinstance(entry, dict):
        weight = entry.get("weight", 1)
        return (
            entry.keys() <= {"source", "weight"}
            and _is_source(entry.get("source"))
            and isinstance(weight, int | float)
            and not isinstance(weight, bool)
            and math.isfinite(weight)
        )
    return _is_source(entry)


def _is_number(highest: int) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        # bool is an int; TOML allows inf and nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return 0 <= value <= highest

    return fits


def _is_whole(lowest: int, highest: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and lowest <= value <= highest


@dataclass(frozen=True, slots=True)
class _Rule:
    """The values that a key accepts, and its default."""

    fits: Callable[[object], bool]
    accepted: str
    default: object = None
    required: bool = False


_PLACE = 'a folder, or a name on the Hugging Face Hub ("owner/name" or "owner/name@revision")'

_KEYS: dict[str, _Rule] = {
    "description": _Rule(_is_text, "a string", ""),
    "base": _Rule(_is_source, _PLACE, required=True),
    "clap": _Rule(_is_source, _PLACE, required=True),
    "adapter": _Rule(_is_source, "a .safetensors file, or a name on the Hugging Face Hub"),
    "steps": _Rule(_is_whole(1, 1000), "a whole number from 1 to 1000", 25),
    "guidance": _Rule(_is_number(100), "a number from 0 to 100", 7.5),
    "scheduler": _Rule(SCHEDULERS.__contains__, f"one of {', '.join(SCHEDULERS)}", "dpm++"),
    "guided_from": _Rule(_is_number(1), "a number from 0 to 1", 0.0),
    "guided_until": _Rule(_is_number(1), "a number from 0 to 1", 1.0),
    "reuse": _Rule(_is_whole(1, 10), "a whole number from 1 to 10", 1),
    "finish": _Rule(FINISHES.__contains__, f"one of {', '.join(FINISHES)}", "none"),
    "inks": _Rule(_is_whole(2, 24), "a whole number from 2 to 24", 6),
    "title": _Rule(TITLES.__contains__, f"one of {', '.join(TITLES)}", "none"),
    "windows": _Rule(_is_whole(1, 100), "a whole number from 1 to 100", 3),
    "padding": _Rule(PADDINGS.__contains__, f"one of {', '.join(PADDINGS)}"),
    "styles": _Rule(_are_texts, "a list of strings", ()),
    "negative": _Rule(_is_text, "a string", ""),
    "mood": _Rule(_is_source, "a mood probe's .safetensors file"),
    "vocabulary": _Rule(_is_source, "a .toml file"),
    "loras": _Rule(
        _are_loras,
        'a list of .safetensors files, names on the Hugging Face Hub, or { source = "…",'
        " weight = 1.0 }",
        (),
    ),
    "vae": _Rule(_is_source, _PLACE),
    "pipeline": _Rule(_is_bool, "true or false", default=False),
    "variant": _Rule(_is_source, 'a string, such as "fp16"'),
    "dtype": _Rule(DTYPES.__contains__, f"one of {', '.join(DTYPES)}"),
    "offload": _Rule(OFFLOADS.__contains__, f"one of {', '.join(OFFLOADS)}", "auto"),
    "license": _Rule(_is_text, "a string", ""),
    "size": _Rule(_is_text, "a string", ""),
    "memory": _Rule(_is_text, "a string", ""),
}

_NAME = re.compile(r"\w[\w.-]*")


def is_name(text: str) -> bool:
    """Whether a model can have this name."""
    return _NAME.fullmatch(text) is not None


def _problems(name: str, table: object) -> Iterator[str]:
    """Yield the problems of one table, one line each."""
    if not isinstance(table, dict):
        yield f"{name}: not in a model; a model is a table, such as [my-model]"
        return
    if not is_name(name):
        yield f"[{name}]: expected a name of letters, digits, ., _ and -"
    for key, rule in _KEYS.items():
        if key in table and not rule.fits(table[key]):
            yield f"{name}.{key}: expected {rule.accepted}, not {table[key]!r}"
        elif key not in table and rule.required:
            yield f"{name}.{key}: missing; expected {rule.accepted}"
    for key in (key for key in table if key not in _KEYS):
        suggestion = _did_you_mean(key, _KEYS) or f" The keys are {', '.join(_KEYS)}."
        yield f"{name}.{key}: unknown key.{suggestion}"
