"""Choose a model: a preset, with the user's options applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from covergen.core.cover import PRINTS, Sampling
from covergen.core.errors import OptionError, UsageError
from covergen.models.presets import at_quality, find_preset, load_presets, unnamed_preset
from covergen.models.sources import PROCEDURAL

if TYPE_CHECKING:
    from covergen.models.presets import Preset


DEFAULT_MODEL = "starter"
NO_ADAPTER = "none"
"""The value of --adapter, and of Provenance.adapter, for painting from words alone."""

DIFFUSION_OPTIONS = ("steps", "guidance", "scheduler", "guided_from", "guided_until", "reuse")
"""Fields of Sampling that do not apply to a procedural model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The model options of a command. None means the preset's value, at this quality.

    `model` is None if no model was named: the default model, or an unnamed one if all of its parts
    are given. `base` and `clap` are folders or names on the Hub; the `adapter` "none" leaves out
    the preset's.
    """

    model: str | None = None
    base: str | None = None
    clap: str | None = None
    adapter: str | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    guided_from: float | None = None
    guided_until: float | None = None
    reuse: int | None = None
    finish: str | None = None
    inks: int | None = None
    title: str | None = None
    quality: str = "standard"
    styles: tuple[str, ...] = ()
    negative: str | None = None
    windows: int | None = None
    padding: str | None = None


def choose_preset(choice: ModelChoice, *, makes_adapter: bool = False) -> Preset:
    """Return the preset with the user's options applied; does not look for files.

    If every part is given and no model is named, no preset applies. A command that `makes_adapter`
    needs no adapter for that. Raises UsageError for options that do not apply.
    """
    preset = _named_preset(choice, makes_adapter=makes_adapter)
    overrides = {
        name: value
        for name in (field.name for field in fields(Sampling))
        if (value := getattr(choice, name)) is not None
    }
    base = choice.base or preset.base
    if base != PROCEDURAL:
        preset = at_quality(preset, choice.quality)
    styles = choice.styles or preset.styles
    negative = preset.negative if choice.negative is None else choice.negative
    _check_text((*styles, negative))
    if base == PROCEDURAL and not makes_adapter:  # training is refused later
        from covergen.poster.model import check_styles

        _refuse_diffusion_options(preset, choice)
        check_styles(filter(None, styles))
    # What a preset says about sampling is for its own base.
    own_base = base == preset.base
    finish = preset.sampling.finish if own_base else "none"
    sampling = replace(preset.sampling, **{"finish": finish, **overrides})
    given = {*overrides, *(preset.given if own_base or choice.quality == "reference" else ())}
    if choice.inks is not None and sampling.finish not in PRINTS:
        raise OptionError("inks", "applies to the finishes print and paper only.")
    return replace(
        preset,
        base=base,
        clap=choice.clap or preset.clap,
        adapter=None if choice.adapter == NO_ADAPTER else choice.adapter or preset.adapter,
        windows=choice.windows or preset.windows,
        padding=choice.padding or preset.padding,
        styles=styles,
        negative=negative,
        # A probe fits one CLAP model only, and the words of a vocabulary one base.
        mood=preset.mood if choice.clap in (None, preset.clap) else None,
        vocabulary=preset.vocabulary if choice.base in (None, preset.base) else None,
        sampling=sampling,
        given=tuple(sorted(given)),
        pipeline=preset.pipeline and own_base,
    )


def _named_preset(choice: ModelChoice, *, makes_adapter: bool) -> Preset:
    base, clap = choice.base, choice.clap
    if choice.model is None and base and clap and (choice.adapter or makes_adapter):
        return unnamed_preset(base, clap, None if choice.adapter == NO_ADAPTER else choice.adapter)
    return find_preset(choice.model or DEFAULT_MODEL, load_presets())


def _refuse_diffusion_options(preset: Preset, choice: ModelChoice) -> None:
    if choice.quality == "reference":
        raise OptionError(
            "quality", f"reference does not apply to {preset.name!r}: it draws by rules."
        )
    if choice.adapter == NO_ADAPTER:
        raise UsageError(f"--adapter none does not apply to {preset.name!r}: it draws by rules.")
    for name in (*DIFFUSION_OPTIONS, "negative"):
        if getattr(choice, name) is not None:
            raise OptionError(
                name,
                f"does not apply to {preset.name!r}: it draws by rules.",
                hint="Leave it out, also in config.toml.",
            )


def _check_text(prompts: Sequence[str]) -> None:
    for prompt in prompts:
        try:
            prompt.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The prompt {prompt!r} is not valid UTF-8.") from None
