"""Train the adapter on the exported base, with the same code as `covergen finetune`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open

from covergen.audio.clap_folder import read_clap_folder
from covergen.compute.device import has_bfloat16
from covergen.core.errors import Interrupted
from covergen.diffusion.adapter_file import write_tensors
from covergen.poster.painter.caption import mirror
from covergen.starter.recipe.base import load_base_average
from covergen.starter.recipe.dataset import load_captions, track_items
from covergen.starter.recipe.embeddings import embed_split
from covergen.starter.recipe.patches import load_latents
from covergen.starter.recipe.settings import VARIANTS
from covergen.training.data.examples import Pairs
from covergen.training.train_adapter import train
from covergen.training.trainable_weights import Initial
from covergen.training.training_run import AdapterNames

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from covergen.starter.recipe.base import TextToImage
    from covergen.starter.recipe.run_folder import RunFolder
    from covergen.training.recipe import Recipe


_NAME = "covergen starter"
# The last parts of a caption: count, size, edges, order, colors, warmth, chroma, lightness.
_MOOD_PARTS = 8
_RIDGE = 1e-2  # relative to the embeddings' mean variance


def train_adapter(run: RunFolder) -> bool:
    """Train the shipped adapter into export/. Return whether training is complete."""
    return _train(run, "adapter", run.recipe.adapter, _initial_projection(run))


def train_variants(run: RunFolder) -> bool:
    """Train an adapter with each recipe in VARIANTS for comparison. Return whether all are done."""
    return all(_train(run, f"variants/{name}", VARIANTS[name], None) for name in VARIANTS)


def _train(run: RunFolder, name: str, recipe: Recipe, initial: dict[str, Tensor] | None) -> bool:
    output, export = run.folder / name, run.folder / "export"
    if not has_bfloat16(run.device):
        recipe = replace(recipe, precision="fp32")
    clap_mark = read_clap_folder(export / "clap").fingerprint
    try:
        trained = train(
            export / "base",
            _read_pairs(run),
            recipe,
            output,
            names=AdapterNames(title=_NAME, base=_NAME, clap=_NAME, clap_mark=clap_mark),
            device=run.device,
            emit=lambda _: None,
            check_interrupted=run.stop_if_late,
            resume=(output / "checkpoints").exists(),
            initial=Initial(projection=initial) if initial else None,
        )
    except Interrupted:
        return False
    _save_half(trained.adapter, export / f"{name}.safetensors")
    return True


def _save_half(adapter: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with safe_open(adapter, framework="pt") as file:
        tensors = {name: file.get_tensor(name).half() for name in file.keys()}  # noqa: SIM118 - not a mapping
        write_tensors(path, tensors, file.metadata())


def _read_pairs(run: RunFolder) -> Pairs:
    """Pair each track's excerpts with its picture; every other excerpt gets the mirrored one.

    The captions say what a style may: family and composition, not the mood, which is the music's.
    """
    vectors, latents = embed_split(run, "train"), load_latents(run)
    count, excerpts, width = vectors.shape
    items = np.repeat(track_items(run.recipe.dataset, "train")[:count], excerpts)
    mirrored = np.arange(count * excerpts) % excerpts % 2
    styles = [
        ", ".join(caption.split(", ")[:-_MOOD_PARTS]) for caption in load_captions(run, "train")
    ]

    def pick(numbers: NDArray[np.intp], _places: NDArray[np.float64]) -> Tensor:
        means = torch.from_numpy(latents[items[numbers], mirrored[numbers]]).float()
        return torch.stack([means, torch.zeros_like(means)], dim=1)

    return Pairs(
        stems=[f"{item:05d}-{i % excerpts}" for i, item in enumerate(items)],
        albums=[f"{item:05d}" for item in items],
        vectors=vectors.reshape(count * excerpts, width),
        latents=pick,
        captions=[
            mirror(styles[item]) if is_mirrored else styles[item]
            for item, is_mirrored in zip(items, mirrored, strict=True)
        ],
    )


def _initial_projection(run: RunFolder) -> dict[str, Tensor]:
    """Return the initial state of the audio projection, fitted to the training captions."""
    embeddings = embed_split(run, "train")
    captions = load_captions(run, "train")
    drawn = [captions[item] for item in track_items(run.recipe.dataset, "train")[: len(embeddings)]]
    tokens = run.recipe.adapter.tokens or 1
    return _fit_projection(load_base_average(run), embeddings, drawn, tokens)


@torch.no_grad()
def _fit_projection(
    base: TextToImage, embeddings: NDArray[np.float32], captions: Sequence[str], tokens: int
) -> dict[str, Tensor]:
    """Fit a projection from embeddings to the text encoder's caption tokens.

    The base already understands these tokens, so training only has to add what captions do not
    express. Family and composition are omitted, as music does not determine them, and so is every
    other position of the encoded caption. Ridge regression. embeddings: (N, excerpts, D).
    Returns a state dict of the projection.
    """
    norm = base.text_encoder.final_layer_norm
    mood_captions = [", ".join(caption.split(", ")[-_MOOD_PARTS:]) for caption in captions]
    hidden = torch.cat(
        [base.tokens(mood_captions[k : k + 64]) for k in range(0, len(mood_captions), 64)]
    )
    chosen = torch.arange(1, hidden.shape[1], 2)[:tokens]
    # The target is the LayerNorm's output before its scale and shift.
    targets = ((hidden[:, chosen] - norm.bias) / norm.weight).flatten(1).cpu()
    inputs = torch.from_numpy(embeddings.mean(axis=1))
    middle, mean = inputs.mean(0), targets.mean(0)
    centered = inputs - middle
    gram = centered.T @ centered
    ridge = _RIDGE * gram.trace() / len(gram) * torch.eye(len(gram))
    weight = torch.linalg.solve(gram + ridge, centered.T @ (targets - mean)).T
    return {
        "weight": weight,
        "bias": mean - weight @ middle,
        "norm.weight": norm.weight,
        "norm.bias": norm.bias,
    }
