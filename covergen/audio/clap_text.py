"""CLAP's text encoder: sentences to embeddings that can be compared with those of audio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covergen.audio.clap_folder import read_text_config
from covergen.audio.clap_loading import check_weights, model_errors, quiet_transformers
from covergen.core.errors import ModelError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


_BATCH = 64  # sentences


def embed_texts(folder: Path, texts: Sequence[str], *, device: torch.device) -> NDArray[np.float32]:
    """Embed sentences with the text encoder of the CLAP model in `folder`, loaded for this call.

    Returns (N, D) float32, unit L2 norm, computed in float32. Raises ModelMissingError if there is
    no text encoder, and ModelError. Source: Wu et al. 2023, arXiv 2211.06687.
    """
    import torch

    config = read_text_config(folder)
    tokenizer, model = _load(folder, config)
    model = model.to(device)
    rows = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            tokens = tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=model.config.max_position_embeddings - 2,  # RoBERTa reserves two
                return_tensors="pt",
            ).to(device)
            vectors = model(tokens.input_ids, attention_mask=tokens.attention_mask).text_embeds
            rows.append(torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy())
    embedded = np.concatenate(rows)
    if not np.isfinite(embedded).all():
        raise ModelError(
            f"The text encoder of the CLAP model in {folder} returns NaN or infinity.",
            hint="Fetch the model again.",
        )
    return embedded


def _load(folder: Path, config: dict[str, Any]) -> tuple[Any, Any]:
    """Load the tokenizer and the text encoder, in float32."""
    from transformers import ClapTextConfig, ClapTextModelWithProjection, RobertaTokenizer

    with quiet_transformers(), model_errors(folder):
        tokenizer = _load_tokenizer(RobertaTokenizer, folder)
        model, report = ClapTextModelWithProjection.from_pretrained(
            folder,
            config=ClapTextConfig.from_dict(config),
            dtype="float32",
            local_files_only=True,
            weights_only=True,  # do not run code in pickles
            ignore_mismatched_sizes=True,  # check_weights reports all of them
            output_loading_info=True,
        )
    check_weights(folder, report, "text encoder", "text_model.encoder.layer.")
    if len(tokenizer) > model.config.vocab_size:
        raise ModelError(
            f"The tokenizer in {folder} has {len(tokenizer)} tokens, but the text encoder knows"
            f" {model.config.vocab_size}.",
            hint="The folder contains files of two models: download it again.",
        )
    return tokenizer, model.eval()


def _load_tokenizer(tokenizer_class: Any, folder: Path) -> Any:  # noqa: ANN401 - untyped
    try:
        return tokenizer_class.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the Rust tokenizer raises plain Exception
        raise ModelError(
            f"{folder}: expected the tokenizer of a CLAP model: {error}.",
            hint="The download may be incomplete: fetch the model again.",
        ) from error
