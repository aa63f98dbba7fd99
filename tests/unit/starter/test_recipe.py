"""The complete training recipe at a very small scale."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from covergen.audio.clap import AudioEncoder
from covergen.core.cover import PaintRequest, Sampling
from covergen.core.errors import OptionError
from covergen.diffusion.painter import load_painter
from covergen.diffusion.sampler import paint
from covergen.models.presets import own_presets
from covergen.starter.recipe import dataset
from covergen.starter.recipe.adapter import train_adapter
from covergen.starter.recipe.audio_encoder import AudioEncoderWithProbe, train_audio_encoder
from covergen.starter.recipe.base import TextToImage, favor_styles, train_base
from covergen.starter.recipe.captions import make_tokenizer
from covergen.starter.recipe.dataset import (
    attributes_of,
    load_attributes,
    load_captions,
    load_shards,
    render,
    track_items,
)
from covergen.starter.recipe.embeddings import wiener_filter
from covergen.starter.recipe.export import export
from covergen.starter.recipe.mood import fit_mood
from covergen.starter.recipe.muon import Muon
from covergen.starter.recipe.patches import encode_pictures, load_basis, load_latents
from covergen.starter.recipe.run_folder import RunFolder
from covergen.starter.recipe.settings import (
    AudioEncoderSettings,
    BaseSettings,
    DatasetSettings,
    LatentSettings,
    Recipe,
    VaeSettings,
)
from covergen.starter.recipe.training_loop import make_optimizers
from covergen.starter.recipe.vae import local_distance, train_vae

DATASET = DatasetSettings(
    pictures=2, styled=2, large=2, tracks=4, styled_tracks=2, validation=2, shard=2, large_size=128
)
VAE = replace(
    VaeSettings(),
    channels=(8, 8, 8, 8),
    crops=((0, 64, 2),),
    sharpen_from=2,
    optimization=replace(VaeSettings().optimization, steps=4, batch=2),
)
AUDIO_ENCODER = replace(
    AudioEncoderSettings(),
    width=12,
    depths=(1, 1),
    heads=(1, 2),
    optimization=replace(AudioEncoderSettings().optimization, steps=2, batch=2),
)
BASE = replace(
    BaseSettings(),
    side=16,
    channels=(16, 16, 32),
    heads=(1, 1, 2),
    width=32,
    optimization=replace(BaseSettings().optimization, steps=4, batch=2),
)
ADAPTER = replace(Recipe().adapter, tokens=4, rank=2, max_steps=3, batch_size=2, validation=0.0)
LATENTS = replace(LatentSettings(), channels=8, measured=4)
RECIPE = Recipe(
    dataset=DATASET,
    latents=LATENTS,
    vae=VAE,
    audio_encoder=AUDIO_ENCODER,
    base=BASE,
    adapter=ADAPTER,
)


def run_in(folder: Path, *, steps: int | None = None, initial: Path | None = None) -> RunFolder:
    """A run that reaches its time limit after `steps` checks, or never if None."""
    checks = count()
    return RunFolder(
        folder=folder,
        recipe=RECIPE,
        device=torch.device("cpu"),
        late=lambda: steps is not None and next(checks) >= steps,
        initial=initial,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = run_in(tmp_path_factory.mktemp("recipe"))
    assert render(run, "train", "pictures", workers=1)
    with pytest.MonkeyPatch.context() as patch:  # the others in this process: starting one is slow
        patch.setattr(dataset, "ProcessPoolExecutor", lambda count, **_: ThreadPoolExecutor(count))
        for split in ("train", "validation"):
            for kind in ("pictures", "styled", "large", "tracks"):
                assert render(run, split, kind, workers=1)
    for stage in (
        encode_pictures,
        train_vae,
        train_audio_encoder,
        train_base,
        export,
        train_adapter,
    ):
        assert stage(run)
    return run.folder


def test_styled_pictures_follow_the_others_in_captions_and_latents(trained: Path) -> None:
    run = run_in(trained)
    captions, latents = load_captions(run, "train"), load_latents(run)
    assert len(captions) == len(latents) == 4
    styles = [set(style.split(", ")) for style in own_presets()["starter"].styles]
    assert all(any(style <= {*text.split(", ")} for style in styles) for text in captions[2:])
    (styled,) = load_shards(run, "train", "styled")
    assert np.allclose(load_basis(run).encode(styled), latents[2:, 0], atol=5e-3)


def test_half_of_the_tracks_belong_to_pictures_and_half_to_styled_pictures() -> None:
    settings = replace(DATASET, pictures=6, styled=4, tracks=4, styled_tracks=2)
    assert track_items(settings, "train") == [0, 1, 6, 7]
    assert track_items(settings, "validation") == [0, 1]
    played = load_attributes(settings, "train", 3)
    np.testing.assert_allclose(played[2], attributes_of(settings, "train", 6).row, rtol=1e-6)


def test_exported_models_embed_and_paint(trained: Path) -> None:
    cpu = torch.device("cpu")
    audio_encoder = AudioEncoder(trained / "export" / "clap", device=cpu, dtype=torch.float32)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 480_000)).astype(np.float32)
    vectors = audio_encoder.embed(audio_encoder.log_mel(noise))
    assert vectors.shape == (2, 512)
    painter = load_painter(
        trained / "export" / "base",
        trained / "export" / "adapter.safetensors",
        d_audio=audio_encoder.dimension,
        device=cpu,
        dtype=torch.float32,
    )
    requests = [PaintRequest(vector=vector, seed=1) for vector in vectors]
    sampling = Sampling(steps=2, guidance=2.0, scheduler="dpm++")
    pictures = list(
        paint(painter, requests, sampling, batch_size=2, check_interrupted=lambda: None)
    )
    assert [picture.shape for picture in pictures] == [(128, 128, 3)] * 2


def test_resumed_training_gives_the_same_weights(trained: Path, tmp_path: Path) -> None:
    for data in ("dataset", "latents"):
        (tmp_path / data).symlink_to(trained / data)
    assert not train_vae(run_in(tmp_path, steps=2))
    assert train_vae(run_in(tmp_path))
    whole, parts = (
        torch.load(folder / "vae" / "checkpoint.pt", weights_only=True)
        for folder in (trained, tmp_path)
    )
    assert whole["step"] == parts["step"] == 4
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, parts["model"][name]), name
    for one, other in zip(whole["average"], parts["average"], strict=True):
        assert torch.equal(one, other)


def test_training_starts_from_exported_weights_and_their_latents(
    trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "dataset").symlink_to(trained / "dataset")
    initial = trained / "export"
    run = run_in(tmp_path, steps=0, initial=initial)
    assert encode_pictures(run)
    for stage in (train_vae, train_audio_encoder, train_base):
        assert not stage(run)
    export(run)
    for name in ("unet", "text_encoder", "vae"):
        (before,) = (initial / "base" / name).glob("*.safetensors")
        assert before.read_bytes() == (run.folder / before.relative_to(trained)).read_bytes()
    assert np.array_equal(load_latents(run), load_latents(run_in(trained)))
    # The filter that `export` merges into the projection is not merged again.
    before, after = (
        folder / "clap" / "model.safetensors" for folder in (initial, run.folder / "export")
    )
    assert before.read_bytes() == after.read_bytes()


def test_all_stages_in_a_work_folder_start_from_the_same_weights(
    trained: Path, tmp_path: Path
) -> None:
    initial = trained / "export"
    run_in(tmp_path / "new", initial=initial).check_initial()
    run_in(tmp_path / "new", initial=initial).check_initial()
    run_in(tmp_path / "other").check_initial()
    for folder, start in (("new", None), ("other", initial)):
        with pytest.raises(OptionError, match="was started with other initial weights"):
            run_in(tmp_path / folder, initial=start).check_initial()
    with pytest.raises(OptionError, match=r"has no latents\.safetensors"):
        run_in(tmp_path / "third", initial=tmp_path).check_initial()


def test_known_words_are_one_token_and_others_are_spelled_out() -> None:
    tokenizer = make_tokenizer(("swiss", "geometry", "warm", ","))
    split = tokenizer.tokenize("swiss geometry, warm")
    assert split == ["swiss</w>", "geometry</w>", ",</w>", "warm</w>"]
    assert len(tokenizer.tokenize("blue")) > 1
    assert tokenizer.decode(tokenizer("blue").input_ids, skip_special_tokens=True).strip() == "blue"


def test_each_style_is_chosen_equally_often_and_other_pictures_for_the_rest() -> None:
    captions = ["cut paper, waves, few", "cut paper, waves, many", "record grooves, arches", "mesh"]
    chances = favor_styles(captions, ["cut paper, waves", "record grooves", "op art"], 0.8)
    np.testing.assert_allclose(chances, [0.25, 0.25, 0.45, 0.05])
    np.testing.assert_allclose(favor_styles(captions, ["op art"], 0.8), 0.25)


@pytest.mark.parametrize("muon", [None, 1e-3])
@pytest.mark.parametrize(
    "make", [lambda: TextToImage(BASE, 8), lambda: AudioEncoderWithProbe(AUDIO_ENCODER, 11)]
)
def test_every_parameter_has_one_optimizer(
    make: Callable[[], torch.nn.Module], muon: float | None
) -> None:
    model = make()
    optimizers = make_optimizers(model, replace(BASE.optimization, muon=muon))
    trained = [p for o in optimizers for group in o.param_groups for p in group["params"]]
    assert len(trained) == len({id(p) for p in trained}) == len(list(model.parameters()))
    assert len(optimizers) == (2 if muon else 1)


def test_muon_trains_neither_the_first_and_last_layers_nor_tables_and_vectors() -> None:
    model = AudioEncoderWithProbe(AUDIO_ENCODER, 11)
    _, adamw = make_optimizers(model, replace(AUDIO_ENCODER.optimization, muon=1e-3))
    left = {id(p) for group in adamw.param_groups for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in left and p.ndim > 1}
    assert {".".join(name.split(".")[-2:]) for name in names} == {
        "proj.weight",  # of the patches
        "self.relative_position_bias_table",
        "head.weight",
    }


@pytest.mark.parametrize("bfloat16", [False, True])
def test_muon_makes_all_singular_values_of_an_update_alike(
    bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("covergen.starter.recipe.muon.has_bfloat16", lambda _: bfloat16)
    weight = torch.nn.Parameter(torch.zeros(8, 24))
    weight.grad = torch.randn(8, 24, generator=torch.Generator().manual_seed(0))
    Muon([weight], lr=1.0, weight_decay=0.0).step()
    values = torch.linalg.svdvals(weight.detach()) / (0.2 * 24**0.5)
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_the_wiener_filter_keeps_the_signal_shared_by_excerpts_of_a_track() -> None:
    rng = np.random.default_rng(0)
    tracks = rng.normal(0, 1, (4000, 1, 2))
    excerpts = tracks + rng.normal(0, (0.1, 1), (4000, 2, 2))
    # Along each direction: signal / (signal + noise), with the signal of the mean of two excerpts.
    signal, noise = np.array([1.005, 1.5]), np.array([0.01, 1])
    found = wiener_filter(excerpts.astype(np.float32), noise=1.0)
    assert np.diag(found) == pytest.approx(signal / (signal + noise), abs=0.03)
    assert found[0, 1] == pytest.approx(0, abs=0.03)


def test_the_mood_probe_finds_the_attributes_in_embeddings(tmp_path: Path) -> None:
    settings = DatasetSettings(tracks=256, styled_tracks=128, validation=64)
    rng = np.random.default_rng(0)
    directions = np.eye(16)[:12] + rng.normal(0, 0.1, (12, 16))
    for folder in ("audio-encoder", "embeddings", "export"):
        (tmp_path / folder).mkdir()
    (tmp_path / "audio-encoder/checkpoint.pt").touch()
    for split, tracks in (("train", 256), ("validation", 64)):
        attributes = load_attributes(settings, split, tracks) - 0.5
        vectors = np.column_stack([attributes, np.full(tracks, 5)]) @ directions
        excerpts = vectors[:, None] + rng.normal(0, 0.01, (tracks, 2, 16))
        lengths = np.linalg.norm(excerpts, axis=-1, keepdims=True)
        np.save(tmp_path / f"embeddings/{split}.npy", (excerpts / lengths).astype(np.float32))
    assert fit_mood(replace(run_in(tmp_path), recipe=replace(RECIPE, dataset=settings)))
    accuracy = json.loads((tmp_path / "mood.json").read_text())
    assert len(accuracy) == 11
    assert min(accuracy.values()) > 0.95


def test_local_distance_ignores_positions_within_a_window_but_not_blur() -> None:
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    moved = edge.flip(3)
    blurred = torch.full_like(edge, 0.5)
    assert float(local_distance(edge, moved, 8)) == 0
    assert float(local_distance(edge, blurred, 8)) == 0.5
    assert float(local_distance(edge, moved, 4)) == 1
