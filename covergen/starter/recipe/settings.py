"""All settings of the training recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from covergen.training.recipe import RECIPES
from covergen.training.recipe import Recipe as TrainingRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSettings:
    """The training data to render. Item i of a split is the same on every machine."""

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
    styled: int = 12_288  # further pictures, in the model's styles
    picture_size: int = 128  # for training the base
    large: int = 1024  # the first pictures again at `large_size`, for training the autoencoder
    large_size: int = 512
    tracks: int = 16_384
    styled_tracks: int = 8192  # of these, how many belong to the first styled pictures
    validation: int = 256
    excerpts: int = 2  # per track, augmented independently
    shard: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """Optimizer settings: AdamW, and Muon with rate `muon` for the inner matrices.

    The moving average of the weights is exported. The rate rises over `warm_up` steps, stays
    constant, and falls to 0 over the last `cooling` steps, so that training can be extended from a
    checkpoint (Hägele et al. 2024, arXiv 2405.18392).
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
    bfloat16: bool = False  # autocast, on devices that compute in it
    average: float = 0.999  # decay of the weights' moving average per step


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentSettings:
    """Latents of patches of `side` pixels. A `whitening` of 1 gives all channels equal variance."""

    side: int = 8  # pixels at a picture size of 128, or 32 at 512
    channels: int = 48
    whitening: float = 0.5
    measured: int = 2048  # pictures that the basis is fitted on


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeSettings:
    """The autoencoder. `crops` are (first step, side, batch).

    `noise`: the maximum standard deviation of the noise on the decoder's input latents.
    `squares`: the weight of the squared error relative to the absolute error. From step
    `sharpen_from` on only the decoder is trained, to reproduce the colors and the `gradients` of
    windows of side `window`, and `pixels` is the weight of the error of single pixels.
    """

    channels: tuple[int, ...] = (8, 16, 32, 64, 96, 128)  # downsampling by 32
    noise: float = 0.1
    squares: float = 8.0
    sharpen_from: int = 5800
    window: int = 16
    pixels: float = 0.3
    gradients: float = 3.0
    crops: tuple[tuple[int, int, int], ...] = (
        (0, 128, 8),
        (1400, 256, 2),
        (7000, 512, 1),  # whole pictures, whose borders are real
    )
    optimization: Optimization = Optimization(
        steps=11_000, cooling=2000, batch=2, rate=5e-4, seed=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioEncoderSettings:
    """The audio encoder, of CLAP's class, trained on two views of each track.

    Arousal and valence, which matter most to the painter, are weighted by `moods` relative to the
    other attributes. `noise`: how much directions in which excerpts of a track differ are
    attenuated.
    """

    width: int = 48
    depths: tuple[int, ...] = (2, 2, 3)
    heads: tuple[int, ...] = (3, 6, 12)
    patch: int = 8
    dimension: int = 512
    centered: int = 48  # tracks whose mean embedding is moved to the origin initially
    temperature: float = 0.2
    contrast: float = 0.1
    together: float = 0.1
    moods: tuple[float, float] = (2.0, 4.0)
    noise: float = 32.0
    optimization: Optimization = Optimization(
        steps=16_000, cooling=5000, batch=12, rate=1e-3, muon=2.5e-3, seed=2, bfloat16=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSettings:
    """A miniature Stable Diffusion: text to latents of side `side` by v-prediction."""

    side: int = 16
    channels: tuple[int, ...] = (128, 192, 224)
    width: int = 128  # of a token
    text_layers: int = 2
    text_heads: int = 4
    heads: tuple[int, ...] = (4, 6, 7)
    empty: float = 0.1  # share of captions dropped entirely
    short: float = 0.3  # share of captions that lose a random share of their parts
    styled: float = 0.7  # share of pictures in the model's styles while the rate falls
    optimization: Optimization = Optimization(
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
    rank=4,
    learning_rate=1e-3,
    batch_size=16,
    max_steps=4000,
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
# Ablations: adapters trained from scratch for the same number of steps.
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
    """The complete recipe."""

    dataset: DatasetSettings = DatasetSettings()
    latents: LatentSettings = LatentSettings()
    vae: VaeSettings = VaeSettings()
    audio_encoder: AudioEncoderSettings = AudioEncoderSettings()
    base: BaseSettings = BaseSettings()
    adapter: TrainingRecipe = ADAPTER


TOKENS = 32  # per caption
