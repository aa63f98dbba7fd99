"""Words for music, against zero-shot classification with transformers' own ClapModel."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import ClapFeatureExtractor, ClapModel, RobertaTokenizer

import covergen
from covergen.audio import clap_text
from covergen.audio.clap import AudioEncoder
from covergen.core.errors import ModelMissingError
from covergen.models.presets import Preset, load_presets, unnamed_preset
from covergen.pipeline.album_words import check_words, load_words
from covergen.words.vector_cache import words_folder
from covergen.words.vocabulary import read_vocabulary, user_vocabulary, vocabulary_file
from tests.media import KINDS, sound
from tests.tiny_clap import make_tiny_clap

CPU = torch.device("cpu")
PACKAGE = Path(covergen.__file__).parent


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clap(tmp_path_factory.mktemp("clap"), projection_dim=48)


@pytest.fixture
def encoder(clap: Path) -> AudioEncoder:
    return AudioEncoder(clap, device=CPU, dtype=torch.float32)


@pytest.fixture
def preset(clap: Path) -> Preset:
    return unnamed_preset("base", str(clap), None)


def waveforms() -> list[NDArray[np.float32]]:
    return [sound(kind, 10, sample_rate=48_000, channels=1)[0] for kind in KINDS]


def embed(encoder: AudioEncoder, sounds: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return encoder.embed(encoder.log_mel(np.stack(sounds)))


def reference_music() -> NDArray[np.float32]:
    """The windows of the reference music, (N, 480000), decoded with PyAV alone."""
    with av.open(PACKAGE / "audio" / "reference_music.opus") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    samples = np.concatenate(frames, axis=1)[0]
    return samples[: len(samples) // 480_000 * 480_000].reshape(-1, 480_000)


def heard_by_transformers(clap: Path) -> list[list[str]]:
    """The best words for each sound, by ClapModel's own features with both means subtracted."""
    model = ClapModel.from_pretrained(clap).eval()
    extractor = ClapFeatureExtractor.from_pretrained(clap)
    tokenizer = RobertaTokenizer.from_pretrained(clap)
    vocabulary = read_vocabulary(vocabulary_file())

    def audio(sounds: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        features = extractor(list(sounds), sampling_rate=48_000, return_tensors="pt")
        return model.get_audio_features(**features).pooler_output

    with torch.inference_mode():
        terms = torch.stack(
            [
                model.get_text_features(
                    **tokenizer(list(term.texts), padding=True, return_tensors="pt")
                ).pooler_output.mean(dim=0)
                for term in vocabulary.terms
            ]
        )
        terms = torch.nn.functional.normalize(terms, dim=-1)
        mean = torch.cat([audio(part) for part in np.array_split(reference_music(), 4)]).mean(0)
        cosines = torch.nn.functional.cosine_similarity(
            (audio(waveforms()) - mean)[:, None], (terms - terms.mean(dim=0))[None], dim=-1
        )
    words = []
    for row in cosines:
        names: list[str] = []
        for group in vocabulary.groups:
            own = [i for i, term in enumerate(vocabulary.terms) if term.group == group.name]
            best = row[own].topk(group.take).indices
            names += [group.terms[i].name for i in best.tolist()]
        words.append(names)
    return words


def test_words_equal_those_of_transformers_own_model(
    clap: Path, preset: Preset, encoder: AudioEncoder
) -> None:
    finder = load_words(preset, clap, encoder, device=CPU)
    found = [[term.name for term in finder.find(v)] for v in embed(encoder, waveforms())]
    assert found == heard_by_transformers(clap)
    assert len({tuple(names) for names in found}) > 1, "different sounds have different words"
    assert [len(names) for names in found] == [6] * len(found)


def test_vectors_are_computed_once_and_for_each_vocabulary(
    clap: Path, preset: Preset, encoder: AudioEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (vector,) = embed(encoder, waveforms()[:1])
    first = load_words(preset, clap, encoder, device=CPU).prompt_for(vector, seed=1)
    (stored,) = words_folder().iterdir()
    original = clap_text.embed_texts

    def fail(*_: object, **__: object) -> None:
        pytest.fail("the text encoder was loaded")

    monkeypatch.setattr(clap_text, "embed_texts", fail)
    assert load_words(preset, clap, encoder, device=CPU).prompt_for(vector, seed=1) == first
    monkeypatch.setattr(clap_text, "embed_texts", original)
    stored.write_bytes(b"damaged")
    assert load_words(preset, clap, encoder, device=CPU).prompt_for(vector, seed=1) == first
    user_vocabulary().parent.mkdir(parents=True)
    user_vocabulary().write_text('[a]\ntemplates = ["{}"]\n[a.terms]\nb = ["c"]\nd = ["c"]\n')
    assert load_words(preset, clap, encoder, device=CPU).prompt_for(vector, seed=1) == "c"
    assert len(list(words_folder().iterdir())) == 2


def test_starter_finds_its_words_with_its_mood_probe() -> None:
    preset = replace(load_presets()["starter"], adapter=None)
    folder = PACKAGE / "starter" / "weights"
    check_words(preset, folder / "clap")
    encoder = AudioEncoder(folder / "clap", device=CPU, dtype=torch.float32)
    finder = load_words(preset, folder / "clap", encoder, device=CPU)
    music = [sound(kind, 10, sample_rate=48_000, channels=1)[0] for kind in ("drums", "chord")]
    prompts = [finder.prompt_for(vector, seed=3) for vector in embed(encoder, music)]
    known = {
        "cool", "neutral", "warm", "muted", "colorful", "vivid", "dark", "dim", "bright", "pale",
        "few", "some", "several", "many", "small", "medium", "large", "vast",
        "smooth", "even", "rough", "free", "loose", "regular",
    }  # fmt: skip
    for prompt in prompts:
        family, *words = prompt.split(", ")
        assert family
        assert len(words) == 7
        assert set(words) <= known
    assert prompts[0] != prompts[1]
    styled = finder.prompt_for(embed(encoder, music)[0], seed=3, style="ink brush")
    assert styled.split(", ") == ["ink brush", *prompts[0].split(", ")[1:]]


def test_clap_without_text_encoder_is_refused_with_what_to_do(preset: Preset) -> None:
    alone = PACKAGE / "starter" / "weights" / "clap"
    with pytest.raises(
        ModelMissingError, match="no adapter, so its pictures are painted from words"
    ):
        check_words(preset, alone)
    with pytest.raises(ModelMissingError) as caught:
        load_words(preset, alone, AudioEncoder(alone, device=CPU, dtype=torch.float32), device=CPU)
    assert "--adapter" in caught.value.hint
