"""The weights that a training starts from: random, the model's projection, or an adapter file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.clap_folder import read_clap_folder
from covergen.core.errors import AdapterError, UsageError
from covergen.diffusion.adapter import check_fit
from covergen.diffusion.adapter_file import LORA_PREFIX, PROJECTION_PREFIX, inspect, read_tensors
from covergen.diffusion.base_config import read_config
from covergen.models.presets import load_presets
from covergen.pipeline.model_files import locate_part
from covergen.training.trainable_weights import Initial

if TYPE_CHECKING:
    from torch import Tensor

    from covergen.diffusion.adapter_file import AdapterInfo
    from covergen.jobs.finetune.preflight import Checked
    from covergen.training.recipe import Recipe


def starting_point(checked: Checked) -> tuple[Recipe, Initial | None]:
    """Return the recipe, adapted to the initial weights, and these; None for random weights.

    Raises AdapterError if the file of --init does not fit the base, and UsageError if it does not
    fit the recipe. The model's own adapter is only used if it fits.
    """
    options = checked.options
    if options.init is not None:
        return _from_file(checked, options.init)
    preset, recipe = options.preset, options.recipe
    own = load_presets().get(preset.name)
    if options.from_scratch or own is None or own.adapter is None or recipe.projection != "tokens":
        return recipe, None
    if (preset.base, preset.clap) != (own.base, own.clap):  # it was trained for these
        return recipe, None
    info = inspect(locate_part(own, "adapter"))
    if info.projection != "tokens" or recipe.tokens not in (None, info.tokens):
        return recipe, None
    initial = Initial(projection=_part(read_tensors(info), PROJECTION_PREFIX))
    return replace(recipe, tokens=info.tokens), initial


def _from_file(checked: Checked, path: Path) -> tuple[Recipe, Initial]:
    """Continue an adapter: its LoRA and projection, and their sizes and empty prompt."""
    recipe, info = checked.options.recipe, inspect(path)
    config, clap = read_config(checked.base, checked.vae), read_clap_folder(checked.clap)
    check_fit(info, config, d_audio=clap.dimension)
    if info.projection == "none":
        raise AdapterError(f"{path}: has no audio projection, so it cannot be trained further.")
    if "rank" in checked.options.given and recipe.rank != info.rank:
        raise UsageError(
            f"--rank {recipe.rank}: the LoRA in {path} has rank {info.rank}.", hint="Omit --rank."
        )
    tensors = read_tensors(info)
    initial = Initial(
        projection=_part(tensors, PROJECTION_PREFIX),
        lora=_part(_with_alpha_of_rank(info, tensors), LORA_PREFIX),
        source=f"{path.name}, {info.sha256[:12]}",
    )
    recipe = replace(
        recipe,
        projection=info.projection,
        tokens=info.tokens,
        rank=info.rank,
        empty_prompt=info.empty_prompt,
    )
    return recipe, initial


def _with_alpha_of_rank(info: AdapterInfo, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same LoRA for an alpha that equals its rank: B is multiplied by alpha / rank."""
    scale = info.alpha / info.rank
    return {name: t * scale if ".lora_B." in name else t for name, t in tensors.items()}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
