"""Covers: what to paint, with which settings, and how a painted one came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintRequest:
    """One picture to paint. `vector`: (d_audio,) float32; `seed`: 0 to 2**64 - 1.

    `style`: a text prompt in addition to the music, or "". `prompt`: the whole prompt if the model
    has no adapter, else "".
    """

    vector: NDArray[np.float32]
    seed: int
    style: str = ""
    prompt: str = ""


DTYPES = ("fp32", "bf16", "fp16")
FINISHES = ("none", "sharp", "smooth", "print", "paper")
PRINTS = ("print", "paper")  # the finishes that have inks
OFFLOADS = ("auto", "none", "model", "sequential")
PADDINGS = ("repeat", "silence")
QUALITIES = ("draft", "standard", "best", "reference")
SCHEDULERS = ("ddim", "ddpm", "dpm++", "dpm++sde", "euler", "lcm", "pndm", "tcd", "unipc")
DEFAULT_SCHEDULER = "default"
"""The scheduler that a pipeline comes with, in the Sampling and Provenance of its covers."""
TITLES = ("none", "title", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a cover is sampled and finished.

    `scheduler` is one of SCHEDULERS or DEFAULT_SCHEDULER. `guided_from` and `guided_until`,
    fractions of the steps, delimit guidance. The full UNet runs only every `reuse`-th step; the
    steps in between reuse its deep features. `finish` is one of FINISHES: "sharp" sharpens edges,
    "smooth" smooths outlines as well, "print" uses up to `inks` flat colors, "paper" adds a paper
    grain. `title` is one of TITLES, what is typeset on the cover: "full" is the title and the
    artist.
    """

    steps: int
    guidance: float
    scheduler: str
    guided_from: float = 0.0
    guided_until: float = 1.0
    reuse: int = 1
    finish: str = "none"
    inks: int = 6
    title: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a cover was painted: everything needed to paint it again.

    `base` and `clap` are folders or Hub names; `adapter` is the SHA-256 of the adapter file in
    hexadecimal, or "none". `revision` is the base's commit on the Hub, `loras` and `vae` what
    replaces parts of the base, as in models.toml, the LoRAs with the SHA-256 of their files;
    "" for none of them. `seed` is the sampler's
    seed, `windows` the number of windows embedded per track, `padding` one of PADDINGS, or "" for
    the CLAP model's own. `style` and `negative` are what the user asked for; `prompt` is the whole
    prompt of a model without an adapter, with the words found for the music. `device` ("cpu",
    "cuda", "mps") and `dtype` ("fp32", "bf16", "fp16") are where and in which precision it was
    painted, "" if unknown. `per` is what it was painted for, "album" or "track", "" if unknown.
    `run_seed` is the seed of the run, from which that of an album derives, -1 if unknown or if it
    was painted for a track. `painted_size` is the side in pixels before the picture was encoded,
    0 if unknown. The other fields are those of Sampling.
    """

    version: str
    model: str
    base: str
    clap: str
    adapter: str
    windows: int
    seed: int
    steps: int
    guidance: float
    scheduler: str
    album_key: str
    guided_from: float = 0.0
    guided_until: float = 1.0
    reuse: int = 1
    finish: str = "none"
    inks: int = 6
    style: str = ""
    negative: str = ""
    prompt: str = ""
    padding: str = ""
    device: str = ""
    dtype: str = ""
    per: str = ""
    run_seed: int = -1
    title: str = "none"
    painted_size: int = 0
    revision: str = ""
    loras: str = ""
    vae: str = ""

    def as_texts(self) -> dict[str, str]:
        """Return each field as text, keyed `covergen:FIELD`."""
        return {f"covergen:{name}": str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """Parse the result of `as_texts`; fields with a default may be missing.

        Raises ValueError if a required field is missing or a value is invalid.
        """
        parsers = {"str": str, "int": int, "float": float}
        values = {}
        for field in fields(cls):
            name = f"covergen:{field.name}"
            if name in texts:
                values[field.name] = parsers[str(field.type)](texts[name])
            elif field.default is MISSING:
                raise ValueError(f"its provenance lacks {name!r}")
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A painted picture with its provenance. `pixels`: (H, W, 3) uint8, sRGB."""

    pixels: NDArray[np.uint8]
    provenance: Provenance
