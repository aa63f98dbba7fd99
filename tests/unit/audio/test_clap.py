"""The tower, against transformers' own ClapModel, and against folders that are not CLAP's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import ClapAudioModelWithProjection, ClapFeatureExtractor, ClapModel

from covergen.audio.clap import AudioEncoder
from covergen.core.errors import ModelError, ModelMissingError
from tests.media import sound
from tests.tiny_clap import make_tiny_clap

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def waveforms() -> NDArray[np.float32]:
    kinds = ("chord", "noise", "drums")
    return np.stack([sound(kind, 10, sample_rate=48_000, seed=5).mean(axis=0) for kind in kinds])


@pytest.fixture
def copy(clap: Path, tmp_path: Path) -> Path:
    """A CLAP folder to modify."""
    return Path(shutil.copytree(clap, tmp_path / "copy"))


def embed(folder: Path, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
    return heard(AudioEncoder(folder, device=CPU, dtype=torch.float32), waveforms)


def heard(audio_encoder: AudioEncoder, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
    return audio_encoder.embed(audio_encoder.log_mel(waveforms))


def test_a_gpu_embeds_more_windows_at_once(clap: Path) -> None:
    sizes = [
        AudioEncoder(clap, device=torch.device(kind), dtype=torch.float32).batch_size
        for kind in ("cpu", "cuda", "mps")
    ]
    assert sizes == [8, 64, 64]


def test_embeddings_equal_those_of_the_full_model(
    clap: Path, waveforms: NDArray[np.float32]
) -> None:
    extractor = ClapFeatureExtractor.from_pretrained(clap)
    features = extractor(list(waveforms), sampling_rate=48_000, return_tensors="pt")
    model = ClapModel.from_pretrained(clap).eval()
    with torch.inference_mode():
        expected = model.get_audio_features(**features).pooler_output.numpy()
    audio_encoder = AudioEncoder(clap, device=CPU, dtype=torch.float32)
    found = heard(audio_encoder, waveforms)
    assert found.shape == (3, 48) == (3, audio_encoder.dimension)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found * expected).sum(axis=1).min() >= 0.99999


def test_fusion_model_embeds_windows_as_short_audio(
    tmp_path: Path, waveforms: NDArray[np.float32]
) -> None:
    folder = make_tiny_clap(tmp_path / "fused", projection_dim=48, fusion=True)
    extractor = ClapFeatureExtractor.from_pretrained(folder)
    features = extractor(list(waveforms), sampling_rate=48_000, return_tensors="pt")
    assert features["input_features"].shape == (3, 4, 1001, 64)
    # The extractor calls one at random longer than a window where none is.
    features["is_longer"] = torch.zeros(3, 1, dtype=torch.bool)
    model = ClapModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model.get_audio_features(**features).pooler_output.numpy()
    assert (embed(folder, waveforms) * expected).sum(axis=1).min() >= 0.99999


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close(
    clap: Path, waveforms: NDArray[np.float32], dtype: torch.dtype
) -> None:
    exact = embed(clap, waveforms)
    half = heard(AudioEncoder(clap, device=CPU, dtype=dtype), waveforms)
    assert half.dtype == np.float32
    assert (half * exact).sum(axis=1).min() > 0.999


def test_loading_prints_nothing(
    copy: Path, waveforms: NDArray[np.float32], capfd: pytest.CaptureFixture[str]
) -> None:
    embed(copy, waveforms[:1])
    assert capfd.readouterr() == ("", "")


def test_pytorch_and_audio_only_weights_give_the_same_embeddings(
    clap: Path, copy: Path, tmp_path: Path, waveforms: NDArray[np.float32]
) -> None:
    expected = embed(clap, waveforms)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    np.testing.assert_array_equal(embed(copy, waveforms), expected)
    alone = tmp_path / "alone"
    ClapAudioModelWithProjection.from_pretrained(clap).save_pretrained(alone)
    shutil.copy(clap / "preprocessor_config.json", alone)
    np.testing.assert_array_equal(embed(alone, waveforms), expected)


def test_transformers_5_settings_are_read(
    clap: Path, copy: Path, waveforms: NDArray[np.float32]
) -> None:
    features = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").unlink()
    (copy / "processor_config.json").write_text(json.dumps({"feature_extractor": features}))
    np.testing.assert_array_equal(embed(copy, waveforms), embed(clap, waveforms))


def test_id_depends_on_the_model_and_not_its_path(clap: Path, copy: Path, tmp_path: Path) -> None:
    def name(folder: Path, dtype: torch.dtype = torch.float32) -> str:
        return AudioEncoder(folder, device=CPU, dtype=dtype).id

    other = make_tiny_clap(tmp_path / "other", projection_dim=48, seed=1)
    padded = AudioEncoder(clap, device=CPU, dtype=torch.float32, padding="silence").id
    names = {name(clap), name(clap, torch.bfloat16), name(other), padded}
    assert len(names) == 4
    assert name(copy) == name(clap)


def edit_json(name: str, **changes: object) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def edit_audio(**changes: object) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config["audio_config"] |= changes
        path.write_text(json.dumps(config))

    return spoil


def drop_weights(start: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        kept = {k: v for k, v in load_file(path).items() if not k.startswith(start)}
        save_file(kept, path, metadata={"format": "pt"})

    return spoil


def truncate_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def pickle_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"no pickle" * 100)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json does not exist"),
        (
            lambda folder: (folder / "preprocessor_config.json").unlink(),
            "preprocessor_config.json does not exist",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "No weights"),
        (lambda folder: shutil.rmtree(folder), "does not exist"),
    ],
)
def test_missing_file_is_named(copy: Path, spoil: Callable[[Path], Any], words: str) -> None:
    spoil(copy)
    with pytest.raises(ModelMissingError, match=words) as caught:
        AudioEncoder(copy, device=CPU, dtype=torch.float32)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "not a JSON object"),
        (edit_json("config.json", model_type="clip"), 'expected model_type "clap", found .clip'),
        (edit_audio(num_mel_bins=80), "80 mel bands"),
        (edit_json("preprocessor_config.json", sampling_rate=16_000), "16000 .expected 48000"),
        (edit_json("preprocessor_config.json", truncation="x"), "'rand_trunc' or 'fusion'"),
        (edit_json("preprocessor_config.json", hop_length="x"), "hop_length 'x'"),
    ],
)
def test_invalid_settings_are_reported_before_weights_are_loaded(
    copy: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(copy)
    with pytest.raises(ModelError, match=words) as caught:
        AudioEncoder(copy, device=CPU, dtype=torch.float32)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncate_weights, "cannot be loaded"),
        (pickle_weights, "cannot be loaded"),
        (drop_weights("audio_projection"), "audio_projection.linear1.bias is missing"),
        (drop_weights("audio"), "and [0-9]+ more"),
        (edit_json("config.json", projection_dim=64), "has shape .48,.*expected .64,"),
        (edit_audio(depths=[1, 2]), "layers.1.blocks.1.* is missing"),
        (edit_audio(hidden_act="no such function"), "cannot be loaded"),
        (edit_audio(depths=[1, 1, 1]), "cannot be loaded"),
    ],
)
def test_invalid_weights_raise_model_error(
    copy: Path,
    waveforms: NDArray[np.float32],
    spoil: Callable[[Path], Any],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    spoil(copy)
    audio_encoder = AudioEncoder(copy, device=CPU, dtype=torch.float32)
    with pytest.raises(ModelError, match=words) as caught:
        heard(audio_encoder, waveforms[:1])
    assert caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_code_in_a_model_is_not_executed(
    copy: Path, waveforms: NDArray[np.float32], tmp_path: Path
) -> None:
    """Neither from a pickle, nor from a Python file that config.json refers to."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]  # what pickle takes

    code = f"import pathlib; pathlib.Path({str(tmp_path / 'sprung')!r}).touch()\nTower = object"
    (copy / "modeling.py").write_text(code)
    names = ("AutoConfig", "AutoModel", "AutoProcessor")
    edit_json("config.json", auto_map=dict.fromkeys(names, "modeling.AudioEncoder"))(copy)
    embed(copy, waveforms[:1])
    (copy / "model.safetensors").unlink()
    torch.save({"audio_model": Trap()}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        embed(copy, waveforms[:1])
    assert not (tmp_path / "sprung").exists()


def encoder_with_room_for(
    windows: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[AudioEncoder, list[int]]:
    """An encoder with memory for that many windows, and the list of batch sizes it tries."""
    audio_encoder = AudioEncoder(folder, device=CPU, dtype=torch.float32)
    tried: list[int] = []
    run = audio_encoder._run

    def limited(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        tried.append(len(log_mel))
        if len(log_mel) > windows:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return run(log_mel)

    monkeypatch.setattr(audio_encoder, "_run", limited)
    return audio_encoder, tried


def test_out_of_memory_halves_the_batch(
    clap: Path, waveforms: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    five = np.concatenate([waveforms, waveforms[:2]])
    audio_encoder, tried = encoder_with_room_for(2, clap, monkeypatch)
    found = heard(audio_encoder, five)
    np.testing.assert_allclose(found, embed(clap, five), atol=1e-5)
    assert tried == [5, 2, 2, 1]
    heard(audio_encoder, five)  # what did not fit is not tried again
    assert tried == [5, 2, 2, 1, 2, 2, 1]


def test_single_window_out_of_memory_raises_model_error(
    clap: Path, waveforms: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    audio_encoder, _ = encoder_with_room_for(0, clap, monkeypatch)
    with pytest.raises(ModelError, match="Not even one window") as caught:
        heard(audio_encoder, waveforms)
    assert "--device" in caught.value.hint


def test_nan_embeddings_raise_model_error(copy: Path, waveforms: NDArray[np.float32]) -> None:
    path = copy / "model.safetensors"
    weights = load_file(path)
    weights["audio_projection.linear2.bias"][0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="returns NaN"):
        embed(copy, waveforms[:1])
