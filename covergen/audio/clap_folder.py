"""Read and check the folder of a CLAP model, before anything heavy is imported."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from covergen.audio.mel import MelSettings
from covergen.audio.window_positions import SAMPLE_RATE_HZ, WINDOW_SECONDS
from covergen.core.errors import ModelError, ModelMissingError

_HINT = (
    "Pass the folder of a CLAP model, such as laion/larger_clap_music_and_speech, that contains"
    " config.json, preprocessor_config.json, and model.safetensors or pytorch_model.bin."
)
# The only features that mel.py computes: one spectrogram of one window.
_FEATURES: dict[str, tuple[object, ...]] = {
    "sampling_rate": (SAMPLE_RATE_HZ,),
    "max_length_s": (WINDOW_SECONDS,),
    "padding": ("repeatpad", "pad"),
    "truncation": ("rand_trunc", "fusion"),
}
_PADDINGS = {"repeat": "repeatpad", "silence": "pad"}
_NUMBERS = (
    "sampling_rate",
    "feature_size",
    "fft_window_size",
    "hop_length",
    "frequency_min",
    "frequency_max",
)
# transformers' defaults for missing keys.
_DEFAULTS = {"projection_dim": 512, "num_mel_bins": 64}
_SAMPLES = 64
_SAMPLE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ClapFolder:
    """A CLAP model with valid settings; its weights are not loaded yet.

    `audio_config` is for transformers.ClapAudioConfig. `fingerprint` is a hash of the settings and
    of samples of the weights.
    """

    path: Path
    audio_config: dict[str, Any]
    dimension: int
    mel: MelSettings
    fingerprint: str


def read_clap_folder(folder: Path, *, padding: str | None = None) -> ClapFolder:
    """Read the settings of a CLAP model, and samples of its weights.

    `padding`, one of PADDINGS, overrides the model's own. Raises ModelMissingError for a missing
    file, and ModelError for a file that is not from a CLAP model.
    """
    audio_config = _audio_config(folder / "config.json")
    mel = _mel_settings(folder)
    if padding is not None:
        mel = replace(mel, padding=_PADDINGS[padding])
    if mel.feature_size != audio_config["num_mel_bins"]:
        raise ModelError(
            f"The CLAP model in {folder} expects {audio_config['num_mel_bins']} mel bands, but"
            f" its preprocessor_config.json has {mel.feature_size}.",
            hint="The folder contains files of two models: download it again.",
        )
    settings = json.dumps([audio_config, asdict(mel)], sort_keys=True)
    return ClapFolder(
        path=folder,
        audio_config=audio_config,
        dimension=audio_config["projection_dim"],
        mel=mel,
        fingerprint=_fingerprint(settings, _weights(folder)),
    )


def read_text_config(folder: Path) -> dict[str, Any]:
    """Return the settings of a CLAP model's text encoder, for transformers.ClapTextConfig.

    Raises ModelMissingError if the model has no text encoder or its tokenizer is missing, and
    ModelError for a file that is not from a CLAP model.
    """
    config = _read_json(folder / "config.json")
    text = config.get("text_config")
    if config.get("model_type") != "clap" or not isinstance(text, dict):
        raise ModelMissingError(f"The CLAP model in {folder} has no text encoder.")
    vocabularies = (("tokenizer.json",), ("vocab.json", "merges.txt"))
    if not any(all((folder / name).is_file() for name in names) for names in vocabularies):
        raise ModelMissingError(
            f"The CLAP model in {folder} lacks the tokenizer of its text encoder, tokenizer.json."
        )
    return text | {"projection_dim": config.get("projection_dim", 512)}


def _audio_config(path: Path) -> dict[str, Any]:
    """Return the audio encoder's settings, which may be a section of the whole model's."""
    config = _read_json(path)
    kind, audio = config.get("model_type"), config.get("audio_config")
    if kind == "clap" and isinstance(audio, dict):
        # As in ClapConfig: the top-level settings of the outputs override the encoder's own.
        shared = {"projection_dim": 512, "projection_hidden_act": "relu"}
        audio |= {name: config.get(name, default) for name, default in shared.items()}
    elif kind == "clap_audio_model":
        audio = config
    else:
        raise ModelError(f'{path}: expected model_type "clap", found {kind!r}.', hint=_HINT)
    # Fusion combines views of audio longer than a window; windows never are.
    return _DEFAULTS | audio | {"enable_fusion": False}


def _mel_settings(folder: Path) -> MelSettings:
    path = folder / "preprocessor_config.json"
    if not path.exists() and (folder / "processor_config.json").exists():
        path = folder / "processor_config.json"  # as saved by transformers 5
    found = _read_json(path)
    found = found.get("feature_extractor", found)
    wrong = [
        f"{name} {found.get(name)!r} (expected {' or '.join(map(repr, accepted))})"
        for name, accepted in _FEATURES.items()
        if found.get(name) not in accepted
    ]
    numbers = {name: found.get(name) for name in _NUMBERS}
    wrong += [
        f"{name} {value!r} (expected a number)"
        for name, value in numbers.items()
        if not isinstance(value, int | float)
    ]
    if wrong:
        raise ModelError(f"{path} has unsupported features: {', '.join(wrong)}.", hint=_HINT)
    return MelSettings(**numbers, truncation=found["truncation"], padding=found["padding"])


def _weights(folder: Path) -> list[Path]:
    """Return the files that transformers would load, including all shards."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        if files := sorted(folder.glob(pattern)):
            return files
    raise ModelMissingError(f"No weights found in {folder}.", hint=_HINT)


def _fingerprint(settings: str, weights: Iterable[Path]) -> str:
    """Hash the settings and evenly spaced samples of the weights, including both ends."""
    digest = hashlib.blake2b(settings.encode(), digest_size=16)
    for path in weights:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            digest.update(f"{size} ".encode())
            for sample in range(_SAMPLES):
                file.seek(max(0, size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelMissingError(f"{path} does not exist.", hint=_HINT) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", hint=_HINT) from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a JSON object.", hint=_HINT)
    return found
