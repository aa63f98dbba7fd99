"""Compare covers from words alone with those of the adapter, in the starter's world.

`python -m covergen.starter.evaluation.words --work-dir DIR` prints the agreement of both with the
mood of the music, as JSON. Music and covers are cached in DIR, which may be that of the evaluation.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from covergen.audio.clap import AudioEncoder
from covergen.diffusion.painter import load_painter
from covergen.models.presets import load_presets
from covergen.pipeline.album_words import load_words
from covergen.starter.evaluation import metrics
from covergen.starter.evaluation.music import embed_music
from covergen.starter.evaluation.pictures import paint_covers

if TYPE_CHECKING:
    from covergen.starter.evaluation.metrics import Figure
    from covergen.starter.evaluation.music import Music


_WEIGHTS = Path(__file__).parents[1] / "weights"
_CPU = torch.device("cpu")


def main() -> None:
    """Parse the command line and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m covergen.starter.evaluation.words")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--tracks", type=int, default=64)
    options = parser.parse_args()
    figures = {name: _row(figure) for name, figure in compare(**vars(options)).items()}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def _row(figure: Figure) -> dict[str, float]:
    """Return a metric as rounded JSON values."""
    return {
        "value": round(figure.value, 3),
        "low": round(figure.low, 3),
        "high": round(figure.high, 3),
        "count": figure.count,
    }


def compare(work_dir: Path, tracks: int) -> dict[str, Figure]:
    """Return the agreement of covers with arousal and valence: by the adapter, and by words."""
    encoder = AudioEncoder(_WEIGHTS / "clap", device=_CPU, dtype=torch.float32)
    music = embed_music(encoder, tracks, work_dir / "music.npz")
    finder = load_words(
        replace(load_presets()["starter"], adapter=None), _WEIGHTS / "clap", encoder, device=_CPU
    )
    prompts = [
        finder.prompt_for(vector, seed=seed) for seed, vector in enumerate(music.vectors[:, 0])
    ]
    adapter = _WEIGHTS / "adapter.safetensors"
    return {
        "adapter": _agreement(music, work_dir / "words-adapter.npz", adapter, [""]),
        "words": _agreement(music, work_dir / "words-alone.npz", None, prompts),
    }


def _agreement(music: Music, path: Path, adapter: Path | None, prompts: list[str]) -> Figure:
    vectors = music.vectors[:, 0]
    painter = load_painter(
        _WEIGHTS / "base", adapter, d_audio=vectors.shape[1], device=_CPU, dtype=torch.float32
    )
    sampling = load_presets()["starter"].sampling
    covers = paint_covers(painter, vectors, range(len(vectors)), sampling, path, prompts=prompts)
    return metrics.agreement(music.attributes[:, :2], covers)[0]


if __name__ == "__main__":
    main()
