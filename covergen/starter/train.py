"""Train the starter model: `python -m covergen.starter.train --stage all --work-dir DIR`.

Every stage stops after `--minutes` and resumes from there the next time.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from dataclasses import replace
from pathlib import Path

from covergen.core.errors import OptionError
from covergen.starter.recipe.run_folder import RunFolder
from covergen.starter.recipe.settings import Recipe

_STAGES = (
    "data",
    "latents",
    "vae",
    "audio-encoder",
    "base",
    "export",
    "adapter",
    "mood",
    "variants",
)


def main() -> None:
    """Run the requested stages."""
    parser = argparse.ArgumentParser(prog="python -m covergen.starter.train", description=__doc__)
    parser.add_argument("--stage", choices=(*_STAGES, "all"), default="all")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="limit per stage")
    parser.add_argument(
        "--initial", type=Path, help="exported weights to start from; the same for all stages"
    )
    parser.add_argument("--workers", type=int, default=2, help="number of rendering processes")
    # One thread by default: on shared cores, two mostly wait for each other.
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help='for example "cuda"')
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    run = RunFolder(
        folder=options.work_dir,
        recipe=Recipe(),
        device=torch.device(options.device),
        late=lambda: False,
        initial=options.initial,
    )
    try:
        run.check_initial()
    except OptionError as error:
        parser.error(f"--{error}")
    for stage in _STAGES if options.stage == "all" else (options.stage,):
        end = time.monotonic() + 60 * options.minutes
        done = _run(stage, replace(run, late=functools.partial(_is_over, end)), options.workers)
        sys.stdout.write(f"{stage}: {'done' if done else 'time limit reached'}\n")
        if not done:
            return


def _run(stage: str, run: RunFolder, workers: int) -> bool:
    """Run a stage and return whether it is complete. Each stage imports only what it needs."""
    match stage:
        case "data":
            return _render_all(run, workers)
        case "vae":
            from covergen.starter.recipe.vae import train_vae

            return train_vae(run)
        case "latents":
            from covergen.starter.recipe.patches import encode_pictures

            return encode_pictures(run)
        case "audio-encoder":
            from covergen.starter.recipe.audio_encoder import train_audio_encoder

            return train_audio_encoder(run)
        case "base":
            from covergen.starter.recipe.base import train_base

            return train_base(run)
        case "export":
            from covergen.starter.recipe.export import export

            return export(run)
        case "adapter":
            from covergen.starter.recipe.adapter import train_adapter

            return train_adapter(run)
        case "mood":
            from covergen.starter.recipe.mood import fit_mood

            return fit_mood(run)
        case _:
            from covergen.starter.recipe.adapter import train_variants

            return train_variants(run)


def _is_over(end: float) -> bool:
    return time.monotonic() > end


def _render_all(run: RunFolder, workers: int) -> bool:
    from covergen.starter.recipe.dataset import render

    return all(
        render(run, split, kind, workers=workers)
        for split in ("validation", "train")
        for kind in ("pictures", "styled", "large", "tracks")
    )


if __name__ == "__main__":
    main()
