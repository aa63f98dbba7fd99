"""Export the trained models: base/ in diffusers' format and clap/ in transformers' format."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covergen.starter.recipe.base import load_base_average
from covergen.starter.recipe.embeddings import load_encoder
from covergen.starter.recipe.mel import MEL
from covergen.starter.recipe.models import make_scheduler
from covergen.starter.recipe.patches import load_basis, write_basis
from covergen.starter.recipe.vae import load_vae_average

if TYPE_CHECKING:
    from covergen.starter.recipe.run_folder import RunFolder


_PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "requires_safety_checker": False,
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
}


def export(run: RunFolder) -> bool:
    """Write the averaged base and audio encoder to export/ in half precision. Return True.

    The basis of the latents is written too: training continues with it.
    """
    folder = run.folder / "export"
    _export_base(run, folder / "base")
    _export_audio_encoder(run, folder / "clap")
    write_basis(load_basis(run), folder / "latents.safetensors")
    return True


def _export_base(run: RunFolder, folder: Path) -> None:
    model = load_base_average(run).half()
    model.unet.save_pretrained(folder / "unet")
    model.text_encoder.save_pretrained(folder / "text_encoder")
    model.tokenizer.save_pretrained(folder / "tokenizer")
    vae = load_vae_average(run).half()
    vae.register_to_config(decoding_margin=1)  # its decoder knows crops better than borders
    vae.save_pretrained(folder / "vae")
    make_scheduler().save_pretrained(folder / "scheduler")
    _write_json(folder / "model_index.json", _PIPELINE)


def _export_audio_encoder(run: RunFolder, folder: Path) -> None:
    load_encoder(run).audio_encoder.half().save_pretrained(folder)
    features = {"feature_extractor_type": "ClapFeatureExtractor", **asdict(MEL), **_EXTRACTOR}
    _write_json(folder / "preprocessor_config.json", features)


# Settings of transformers.ClapFeatureExtractor other than those of the mel spectrogram.
_EXTRACTOR = {
    "max_length_s": 10,
    "padding": "repeatpad",
    "truncation": "rand_trunc",
    "padding_value": 0.0,
    "return_attention_mask": False,
}


def _write_json(path: Path, contents: dict[str, Any]) -> None:
    path.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
