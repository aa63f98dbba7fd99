"""Every number of the recipe, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from covergen.training.recipe import RECIPES
from covergen.training.recipe import Recipe as TrainingRecipe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ADAPTER",
    "TOKENS",
    "VARIANTS",
    "BaseSettings",
    "LatentSettings",
    "Optimisation",
    "Recipe",
    "TowerSettings",
    "VaeSettings",
    "World",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is rendered. Item i of a split is the same on every machine."""

    seed: int = 20261
    families: tuple[str, ...] = (
        "swiss geometry",
        "gradient mesh",
        "flow field",
        "cut paper",
        "record grooves",
        "ridge lines",
        "horizon landscape",
    )
    pictures: int = 40_960
    picture_size: int = 128  # from which the base learns
    large: int = 1024  # the first pictures again, from which the decoder learns
    large_size: int = 512
    tracks: int = 4096
    validation: int = 256
    excerpts: int = 2  # of each track, recorded differently
    shard: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """AdamW, and Muon at `muon` for the matrices of the UNet; exported is the moving average.

    The rate rises over `warm_up` steps, stays, and falls to 0 over the last `cooling` ones, so that
    a training may be made longer from where it stood (Hägele et al. 2024, arXiv 2405.18392).
    """

    steps: int
    batch: int
    rate: float
    seed: int
    muon: float | None = None
    warm_up: int = 100
    cooling: int = 1
    decay: float = 0.01
    clip: float = 1.0
    bfloat16: bool = False  # forward and backward, where that is the faster
    average: float = 0.999  # of the weights, over steps


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentSettings:
    """What stands for a patch of `side` pixels. With a `whitening` of 1 all are equally large."""

    side: int = 8  # of a picture of 128 pixels: 32 of one of 512
    channels: int = 48
    whitening: float = 0.5
    measured: int = 2048  # pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeSettings:
    """An autoencoder to the latents and back. `crops` are (first step, side, batch).

    `noise`: how far off, at most, the latents are from which the decoder learns. `squares`: the
    weight of the squared error beside the absolute one; it is what counts in decibels.
    `adversarial` is the weight of the adversarial loss, from the step `adversarial_from`;
    `discriminator` is the discriminator's channels.
    """

    channels: tuple[int, ...] = (8, 16, 32, 64, 96, 128)  # a factor of 32
    noise: float = 0.1
    squares: float = 8.0
    adversarial: float = 0.05
    adversarial_from: int = 2000
    discriminator: tuple[int, ...] = (16, 32, 64, 96)
    crops: tuple[tuple[int, int, int], ...] = (
        (0, 128, 8),
        (1400, 256, 2),
        (4800, 512, 1),
    )
    optimisation: Optimisation = Optimisation(steps=5800, cooling=2000, batch=8, rate=8e-4, seed=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerSettings:
    """An audio tower of CLAP's class; two views of each track are compared.

    `weighed_from`: the step from which arousal and valence, which the painter speaks of most,
    weigh `moods` times as much in the reading as each other attribute. `noise`: how much
    directions are weakened in which excerpts of one track differ.
    """

    width: int = 48
    depths: tuple[int, ...] = (2, 2, 3)
    heads: tuple[int, ...] = (3, 6, 12)
    patch: int = 8
    dimension: int = 512
    centred: int = 48  # tracks that set where the embeddings' middle is
    temperature: float = 0.2
    contrast: float = 0.1
    together: float = 0.1
    weighed_from: int = 4000
    moods: tuple[float, float] = (2.0, 5.0)
    noise: float = 2.0
    optimisation: Optimisation = Optimisation(
        steps=8000, cooling=2000, batch=12, rate=1e-3, seed=2, bfloat16=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSettings:
    """A miniature of Stable Diffusion: text to latents of `side` by v-prediction."""

    side: int = 16
    channels: tuple[int, ...] = (128, 192, 224)
    width: int = 128  # of a token
    text_layers: int = 2
    text_heads: int = 4
    heads: tuple[int, ...] = (4, 6, 7)
    empty: float = 0.1  # captions dropped whole
    short: float = 0.3  # captions of which each part is dropped with a chance of its own
    optimisation: Optimisation = Optimisation(
        steps=80_000,
        cooling=16_000,
        batch=64,
        rate=1e-3,
        muon=2.5e-3,
        seed=3,
        bfloat16=True,
        average=0.9995,
    )


ADAPTER = TrainingRecipe(
    tokens=8,
    rank=8,
    learning_rate=1e-3,
    batch_size=16,
    max_steps=800,
    sample_every=None,
    validation=0.02,
    precision="bf16",
    seed=4,
)


def _alike(recipe: TrainingRecipe, rate: float) -> TrainingRecipe:
    return replace(
        recipe,
        learning_rate=rate,
        batch_size=16,
        max_steps=300,
        resolution=None,
        checkpoint_every=100,
        checkpoint_unit="steps",
        keep_checkpoints=1,
        validate_every=None,
        sample_every=None,
        validation=0.02,
        precision="bf16",
    )


_PLAIN = _alike(RECIPES["default"], 1e-3)
# Adapters that begin from scratch and are trained equally long, to tell what each part buys.
VARIANTS: Mapping[str, TrainingRecipe] = MappingProxyType(
    {
        "default": _PLAIN,
        "slow": _alike(RECIPES["default"], 1e-4),
        "one-token": replace(_PLAIN, projection="linear"),
        "no-dropout": replace(_PLAIN, condition_dropout=0.0),
        "no-min-snr": replace(_PLAIN, min_snr_gamma=None),
        "no-average": replace(_PLAIN, ema=None),
        "reference": _alike(RECIPES["reference"], 1e-4),
        "reference-fast": _alike(RECIPES["reference"], 1e-3),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All of it."""

    world: World = World()
    latents: LatentSettings = LatentSettings()
    vae: VaeSettings = VaeSettings()
    tower: TowerSettings = TowerSettings()
    base: BaseSettings = BaseSettings()
    adapter: TrainingRecipe = ADAPTER


TOKENS = 32  # of a caption
