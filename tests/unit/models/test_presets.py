"""models.toml: what it accepts, and how its problems are reported."""

from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.app_folders import config_folder
from covergen.core.cover import Sampling
from covergen.core.errors import SettingsError, UsageError
from covergen.models.presets import Lora, at_quality, find_preset, load_presets

MINIMAL = 'base = "some/base"\nclap = "some/clap"\n'


def write(folder: Path, text: str) -> Path:
    file = folder / "models.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_presets(file)
    assert caught.value.path == file
    assert all(line in str(caught.value) for line in (str(file), *caught.value.problems))
    return caught.value.problems


def test_sd15_is_stable_diffusion_without_an_adapter() -> None:
    sd15 = load_presets()["sd15"]
    assert sd15.base == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert sd15.clap == "laion/larger_clap_music_and_speech"
    assert sd15.adapter is None


def test_starter_is_the_first_model_and_included_in_the_package() -> None:
    name, starter = next(iter(load_presets().items()))
    assert name == starter.name == "starter"
    for source in (starter.base, starter.clap, starter.adapter):
        assert source is not None
        assert source.startswith("package:starter/")


def test_user_models_are_added_to_covergens() -> None:
    config_folder().mkdir(parents=True)
    file = write(
        config_folder(),
        '[mine]\nbase = "me/base"\nclap = "me/clap@v2"\nadapter = "me/adapter"\n'
        'description = "My own"\nsteps = 40\nguidance = 5\nscheduler = "unipc"\nwindows = 1\n'
        'license = "CC0"\nsize = "small"\n',
    )
    presets = load_presets()
    assert list(presets) == ["starter", "poster", "sd15", "sd15-lcm", "sd-turbo", "sdxl", "mine"]
    mine = presets["mine"]
    assert (mine.base, mine.clap, mine.adapter) == ("me/base", "me/clap@v2", "me/adapter")
    assert mine.sampling == Sampling(steps=40, guidance=5.0, scheduler="unipc")
    assert (mine.description, mine.windows) == ("My own", 1)
    assert (mine.license, mine.size, mine.defined_in) == ("CC0", "small", file)


def test_quality_adjusts_the_sampling(tmp_path: Path) -> None:
    saving = "guided_from = 0.1\nguided_until = 1\nreuse = 3\n"
    model = load_presets(write(tmp_path, f"[mine]\n{MINIMAL}{saving}"))["mine"]
    mine = model.sampling

    def at(quality: str, steps: int = mine.steps) -> Sampling:
        of_steps = replace(model, sampling=replace(mine, steps=steps))
        return at_quality(of_steps, quality).sampling

    assert (mine.guided_from, mine.guided_until, mine.reuse) == (0.1, 1.0, 3)
    assert at_quality(model, "standard") == model
    best = at("best")
    assert (best.steps, best.guided_from, best.guided_until, best.reuse) == (50, 0.0, 1.0, 1)
    assert best.guidance == mine.guidance
    assert at("best", steps=80).steps == 80
    assert at("draft", steps=4).steps == 4
    distilled = replace(model, sampling=replace(mine, steps=4, guidance=1.5))
    assert at_quality(distilled, "best").sampling.steps == 4  # more would not help
    draft = at("draft")
    assert (draft.steps, draft.guided_from, draft.guided_until, draft.reuse) == (10, 0.1, 0.6, 3)


def test_user_model_replaces_covergens_entirely_and_gets_defaults(tmp_path: Path) -> None:
    presets = load_presets(write(tmp_path, f"[sd15]\n{MINIMAL}"))
    assert list(presets) == ["starter", "poster", "sd15", "sd15-lcm", "sd-turbo", "sdxl"]
    sd15 = presets["sd15"]
    assert (sd15.base, sd15.adapter, sd15.license, sd15.windows) == ("some/base", None, "", 3)
    assert sd15.sampling == Sampling(steps=25, guidance=7.5, scheduler="dpm++")


def test_models_for_a_few_steps_use_fitting_settings() -> None:
    presets = load_presets()
    for name in ("sd15-lcm", "sd-turbo"):
        sampling = presets[name].sampling
        assert sampling.steps in range(1, 9)
        assert sampling.guidance <= 2
        assert sampling.reuse == 1
    assert presets["sd15-lcm"].sampling.scheduler == "lcm"
    assert presets["sdxl"].pipeline
    assert presets["sdxl"].given == ()  # the pipeline's own settings


def test_loras_are_strings_or_tables_with_a_weight(tmp_path: Path) -> None:
    text = (
        f'[mine]\n{MINIMAL}vae = "tiny"\n'
        'loras = ["me/lora", "style.safetensors", { source = "me/other@v1", weight = -0.5 }]\n'
    )
    mine = load_presets(write(tmp_path, text))["mine"]
    assert mine.vae == str(tmp_path / "tiny")
    assert mine.loras == (
        Lora(source="me/lora"),
        Lora(source=str(tmp_path / "style.safetensors")),
        Lora(source="me/other@v1", weight=-0.5),
    )


def test_paths_are_relative_to_the_file(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some/base").mkdir(parents=True)  # exists, so it is not a Hub name
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    file = write(
        tmp_path,
        '[a]\nbase = "some/base"\nclap = "~/clap"\nadapter = "run/adapter.safetensors"\n'
        '[b]\nbase = "./my/base"\nclap = "/srv/clap"\nadapter = "package:x/y.safetensors"\n'
        '[c]\nbase = "folder"\nclap = "~nobody-of-that-name/clap"\n',
    )
    presets = load_presets(file)
    a, b, c = (presets[name] for name in "abc")
    assert (a.base, a.clap) == (str(tmp_path / "some/base"), str(home / "clap"))
    assert a.adapter == str(tmp_path / "run/adapter.safetensors")
    assert (b.base, b.clap) == (str(tmp_path / "my/base"), "/srv/clap")
    assert b.adapter == "package:x/y.safetensors"
    assert c.base == str(tmp_path / "folder")
    assert c.clap == str(tmp_path / "~nobody-of-that-name/clap")


def test_all_problems_are_reported_in_file_order(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        'stray = 3\n[one]\nbase = 7\nsteps = 0\nschedular = "ddim"\n'
        f'[two]\n{MINIMAL}scheduler = "heun"\nwindows = 1.5\n["no spaces"]\n{MINIMAL}',
    )
    assert [line.split(":")[0] for line in problems(file)] == [
        "stray", "one.base", "one.clap", "one.steps", "one.schedular", "two.scheduler",
        "two.windows", "[no spaces]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("guided_from = 1.5", "mine.guided_from: expected a number from 0 to 1, not 1.5"),
        ("reuse = 0", "mine.reuse: expected a whole number from 1 to 10, not 0"),
        ("steps = 1001", "mine.steps: expected a whole number from 1 to 1000, not 1001"),
        ("steps = 20.0", "mine.steps: expected a whole number from 1 to 1000, not 20.0"),
        ("steps = true", "mine.steps: expected a whole number from 1 to 1000, not True"),
        ("guidance = -1", "mine.guidance: expected a number from 0 to 100, not -1"),
        ("guidance = nan", "mine.guidance: expected a number from 0 to 100, not nan"),
        ("guidance = inf", "mine.guidance: expected a number from 0 to 100, not inf"),
        ("guidance = true", "mine.guidance: expected a number from 0 to 100, not True"),
        ('guidance = "7"', "mine.guidance: expected a number from 0 to 100, not '7'"),
        (
            'scheduler = "heun"',
            "mine.scheduler: expected one of ddim, ddpm, dpm++, dpm++sde, euler",
        ),
        (
            "scheduler = []",
            "mine.scheduler: expected one of ddim, ddpm, dpm++, dpm++sde, euler",
        ),
        ("pipeline = 1", "mine.pipeline: expected true or false, not 1"),
        (
            'offload = "disk"',
            "mine.offload: expected one of auto, none, model, sequential, not 'disk'",
        ),
        ('dtype = "fp8"', "mine.dtype: expected one of fp32, bf16, fp16, not 'fp8'"),
        (
            'loras = "me/lora"',
            "mine.loras: expected a list of .safetensors files, names on the Hug",
        ),
        ('loras = [{ source = "me/lora", scale = 1 }]', "mine.loras: expected a list of .safet"),
        ("loras = [{ weight = 1.0 }]", "mine.loras: expected a list of .safetensors files, na"),
        ('loras = [{ source = "me/lora", weight = nan }]', "mine.loras: expected a list of .safe"),
        ("windows = 0", "mine.windows: expected a whole number from 1 to 100, not 0"),
        ('adapter = ""', "mine.adapter: expected a .safetensors file, or a name on the Hugging"),
        ("description = 5", "mine.description: expected a string, not 5"),
        ("step = 5", "mine.step: unknown key. Did you mean 'steps'?"),
        ("zebra = 5", "mine.zebra: unknown key. The keys are description, base, clap, adapter,"),
    ],
)
def test_problem_names_the_key_and_the_accepted_values(
    tmp_path: Path, line: str, message: str
) -> None:
    (found,) = problems(write(tmp_path, f"[mine]\n{MINIMAL}{line}\n"))
    assert found.startswith(message)


def test_unreadable_file_is_reported(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, f"[mine]\n{MINIMAL}steps = = 3\n"))
    assert "at line 4, column 9" in found
    file = tmp_path / "models.toml"
    file.write_bytes(b"[mine]\n\xff\xfe")
    assert problems(file) == ("is not valid UTF-8 at byte 7",)
    assert problems(tmp_path) == ("cannot be read: Is a directory",)


def test_unknown_name_lists_the_models_and_suggests_a_close_one() -> None:
    with pytest.raises(UsageError) as caught:
        find_preset("SD-15", load_presets())
    assert "Did you mean 'sd15'?" in str(caught.value)
    assert "starter, poster, sd15" in str(caught.value)
    assert str(config_folder() / "models.toml") in str(caught.value)
    with pytest.raises(UsageError) as caught:
        find_preset("watercolor", load_presets())
    assert "Did you mean" not in str(caught.value)
