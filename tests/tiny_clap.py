"""A small CLAP model of the real class with random weights, for fast tests."""

from pathlib import Path

import torch
from transformers import (
    ClapAudioConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    RobertaTokenizer,
)
from transformers.utils import logging

from covergen.audio.mel import MelSettings
from tests.media import KINDS, sound

__all__ = ["LAION_MEL", "make_tiny_clap"]

_SAMPLE_RATE = 48_000
LAION_MEL = MelSettings(  # of the released CLAP models without fusion
    sampling_rate=_SAMPLE_RATE,
    feature_size=64,
    fft_window_size=1024,
    hop_length=480,
    frequency_min=50,
    frequency_max=14_000,
)


def make_tiny_clap(
    folder: Path, *, projection_dim: int = 512, seed: int = 0, fusion: bool = False
) -> Path:
    """Save a whole ClapModel, its tokenizer and `preprocessor_config.json`, 2.4 MB.

    Returns the folder.

    The same arguments give the same files. A random encoder maps all sounds to similar embeddings;
    subtracting the mean embedding of a few sounds makes them differ.
    """
    truncation = "fusion" if fusion else "rand_trunc"
    extractor = ClapFeatureExtractor(frequency_min=50, truncation=truncation)
    sounds = [sound(kind, 10, sample_rate=_SAMPLE_RATE, channels=1)[0] for kind in KINDS]
    features = extractor(sounds, sampling_rate=_SAMPLE_RATE, return_tensors="pt")["input_features"]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = ClapModel(_config(projection_dim, fusion=fusion)).eval()
        norm = model.audio_model.audio_encoder.batch_norm
        norm.running_mean.fill_(features.mean())
        norm.running_var.fill_(features.var())
        is_longer = torch.zeros(len(sounds), 1, dtype=torch.bool)
        pooled = model.audio_model(input_features=features, is_longer=is_longer).pooler_output
        model.audio_projection.linear2.bias -= model.audio_projection(pooled).mean(dim=0)
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def make_tokenizer() -> RobertaTokenizer:
    """A byte-level tokenizer with one token per character, and RoBERTa's special tokens."""
    characters = ["\u0120", *(chr(code) for code in range(ord("!"), ord("~") + 1))]
    words = ["<s>", "<pad>", "</s>", "<unk>", *characters, "<mask>"]
    return RobertaTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])


def _config(projection_dim: int, *, fusion: bool) -> ClapConfig:
    audio = ClapAudioConfig(
        enable_fusion=fusion,
        aff_block_r=4,
        patch_size=16,
        patch_stride=(16, 16),
        patch_embeds_hidden_size=16,
        depths=(1, 1),
        num_attention_heads=(1, 2),
        num_hidden_layers=2,
        hidden_size=32,
        initializer_factor=4.0,
    )
    text = ClapTextConfig(
        vocab_size=100,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        initializer_factor=4.0,
        projection_dim=projection_dim,
    )
    return ClapConfig(
        audio_config=audio.to_dict(), text_config=text.to_dict(), projection_dim=projection_dim
    )
