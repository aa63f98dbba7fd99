"""Stage 2: music to pictures, trained on the exported base just as `covergen finetune` would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import safe_open

from covergen.core.errors import Interrupted
from covergen.diffusion.adapter_file import write_tensors
from covergen.starter.recipe.base import load_base_average
from covergen.starter.recipe.embeddings import embed_split
from covergen.starter.recipe.patches import load_latents
from covergen.starter.recipe.settings import VARIANTS
from covergen.starter.recipe.world import load_captions
from covergen.training.examples import Pairs
from covergen.training.train import Names, train

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from covergen.starter.recipe.base import TextToImage
    from covergen.starter.recipe.run import Run
    from covergen.training.recipe import Recipe

__all__ = ["train_adapter", "train_variants"]

_NAMES = Names(title="covergen starter", base="covergen starter", clap="covergen starter")
_MOOD_PARTS = (
    8  # at the end of a caption: number, size, edges, order, colours, warmth, chroma, light
)
_RIDGE = 1e-2  # of the embeddings' mean variance


def train_adapter(run: Run) -> bool:
    """Train the adapter that ships, into export/; whether all steps are done."""
    return _train(run, "adapter", run.recipe.adapter, _know_captions(run))


def train_variants(run: Run) -> bool:
    """Train an adapter by each of the other recipes, to be measured against; whether all are."""
    return all(_train(run, f"variants/{name}", VARIANTS[name], None) for name in VARIANTS)


def _train(run: Run, name: str, recipe: Recipe, initial: dict[str, Tensor] | None) -> bool:
    output = run.folder / name
    try:
        trained = train(
            run.folder / "export" / "base",
            _read_pairs(run),
            recipe,
            output,
            names=_NAMES,
            device=run.device,
            emit=lambda _: None,
            checkpoint=run.stop_if_late,
            resume=(output / "checkpoints").exists(),
            initial=initial,
        )
    except Interrupted:
        return False
    _save_half(trained.adapter, run.folder / "export" / f"{name}.safetensors")
    return True


def _save_half(adapter: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with safe_open(adapter, framework="pt") as file:
        tensors = {name: file.get_tensor(name).half() for name in file.keys()}  # noqa: SIM118 - no mapping
        write_tensors(path, tensors, file.metadata())


def _read_pairs(run: Run) -> Pairs:
    """Each track's excerpts with its picture, of which every other one is mirrored."""
    vectors, latents = embed_split(run, "train"), load_latents(run)
    tracks, excerpts = min(len(vectors), len(latents)), vectors.shape[1]

    def pick(numbers: NDArray[np.intp], _places: NDArray[np.float64]) -> Tensor:
        means = torch.from_numpy(latents[numbers // excerpts, numbers % excerpts % 2]).float()
        return torch.stack([means, torch.zeros_like(means)], dim=1)

    return Pairs(
        stems=[f"{i // excerpts:05d}-{i % excerpts}" for i in range(tracks * excerpts)],
        albums=[f"{i // excerpts:05d}" for i in range(tracks * excerpts)],
        vectors=vectors[:tracks].reshape(tracks * excerpts, -1),
        latents=pick,
    )


def _know_captions(run: Run) -> dict[str, Tensor]:
    """Where the projection begins."""
    embeddings = embed_split(run, "train")
    captions = load_captions(run, "train")
    count = min(len(embeddings), len(captions))
    tokens = run.recipe.adapter.tokens or 1
    return _caption_projection(load_base_average(run), embeddings[:count], captions[:count], tokens)


@torch.no_grad()
def _caption_projection(
    base: TextToImage, embeddings: NDArray[np.float32], captions: Sequence[str], tokens: int
) -> dict[str, Tensor]:
    """The state of the projection that is the best linear guess at the caption's tokens.

    The base knows those: training has only to add what captions do not say. Family and composition,
    which no music decides, are left out, and every other position of the encoded caption. Ridge
    regression. embeddings: (N, excerpts, D).
    """
    norm = base.text_encoder.final_layer_norm
    said = [", ".join(caption.split(", ")[-_MOOD_PARTS:]) for caption in captions]
    hidden = torch.cat([base.tokens(said[k : k + 64]) for k in range(0, len(said), 64)])
    chosen = torch.arange(1, hidden.shape[1], 2)[:tokens]
    # What LayerNorm is to give, before its own scale and shift.
    wanted = ((hidden[:, chosen] - norm.bias) / norm.weight).flatten(1).cpu()
    heard = torch.from_numpy(embeddings.mean(axis=1))
    middle, mean = heard.mean(0), wanted.mean(0)
    centred = heard - middle
    gram = centred.T @ centred
    ridge = _RIDGE * gram.trace() / len(gram) * torch.eye(len(gram))
    weight = torch.linalg.solve(gram + ridge, centred.T @ (wanted - mean)).T
    return {
        "weight": weight,
        "bias": mean - weight @ middle,
        "norm.weight": norm.weight,
        "norm.bias": norm.bias,
    }
