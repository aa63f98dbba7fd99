"""Pulling from the Hub: a local HTTP server, and a new process for each pull."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from covergen.models.locate import locate
from covergen.models.part_files import Kind
from tests.unit.models.fake_hub import COMMIT, FakeHub, running
from tests.unit.models.layouts import (
    BASE,
    BASE_READ,
    BASE_UNREAD,
    CLAP,
    CLAP_READ,
    CLAP_UNREAD,
    SDXL,
    SDXL_INDEX,
    SDXL_READ,
    contents,
)

pytestmark = pytest.mark.processes

SCRIPT = """
import sys
from covergen.core.errors import ModelError
from covergen.models.locate import pull


def check(folder):
    if b"text_time" in (folder / "unet/config.json").read_bytes():
        raise ModelError("This base is not supported.")


try:
    source, kind, *variant = sys.argv[1:]
    options = {"variant": variant[0]} if variant else {}
    print(pull(source, kind, check=check if kind == "base" else None, **options))
except ModelError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    repositories = {
        BASE: contents(BASE_READ | BASE_UNREAD),
        CLAP: contents(CLAP_READ | CLAP_UNREAD),
        "me/style": contents({"README.md", "style.safetensors"}),
    }
    with running(FakeHub(repositories=repositories)) as hub:
        yield hub


@pytest.fixture
def hf_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HF_HOME, for the pulling process and this one."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    return tmp_path / "hf"


def run_pull(
    source: str, kind: Kind, endpoint: str, hf_home: Path, *variant: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    settings = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_HOME": str(hf_home)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, source, kind, *variant],
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def failure(source: str, kind: Kind, endpoint: str, hf_home: Path, **environment: str) -> str:
    result = run_pull(source, kind, endpoint, hf_home, **environment)
    assert result.returncode == 1
    assert result.stderr.startswith("ModelError: ")
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [(BASE, "base", BASE_READ), (CLAP, "clap", CLAP_READ)],
)
def test_pull_downloads_only_what_covergen_reads(
    hub: FakeHub, hf_home: Path, source: str, kind: Kind, expected: set[str]
) -> None:
    result = run_pull(source, kind, hub.endpoint, hf_home)
    assert (result.returncode, result.stderr) == (0, "")  # no bars without a terminal
    folder = Path(result.stdout.strip())
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
    assert found == contents(expected)
    assert sorted(hub.served) == sorted(expected)
    assert locate(source, kind) == folder
    assert folder.name == COMMIT
    downloads = [line.split(" ")[1] for line in hub.requests if "/resolve/" in line]
    assert {path.split("/resolve/")[1].split("/")[0] for path in downloads} == {COMMIT}
    hub.requests.clear()
    assert run_pull(source, kind, hub.endpoint, hf_home).stdout == result.stdout
    assert hub.requests == []


def test_clap_in_both_formats_is_downloaded_as_safetensors(hub: FakeHub, hf_home: Path) -> None:
    hub.repositories[CLAP] |= contents({"model.safetensors"})
    assert run_pull(CLAP, "clap", hub.endpoint, hf_home).returncode == 0
    assert "model.safetensors" in hub.served
    assert "pytorch_model.bin" not in hub.served


def test_pull_adds_the_tokenizer_that_an_earlier_version_left_out(
    hub: FakeHub, hf_home: Path
) -> None:
    tokenizer = {name for name in CLAP_READ if name.endswith((".txt", "map.json"))}
    tokenizer |= {"tokenizer.json", "tokenizer_config.json", "vocab.json"}
    whole = hub.repositories[CLAP]
    hub.repositories[CLAP] = {k: v for k, v in whole.items() if k not in tokenizer}
    assert run_pull(CLAP, "clap", hub.endpoint, hf_home).returncode == 0
    hub.repositories[CLAP] = whole
    hub.served.clear()
    assert run_pull(CLAP, "clap", hub.endpoint, hf_home).returncode == 0
    assert set(hub.served) == tokenizer


def test_old_repository_name_is_pulled_from_the_new_one(hub: FakeHub, hf_home: Path) -> None:
    result = run_pull("runwayml/stable-diffusion-v1-5", "base", hub.endpoint, hf_home)
    assert result.returncode == 0
    assert not [request for request in hub.requests if "runwayml" in request]


def test_interrupted_pull_resumes(hub: FakeHub, hf_home: Path) -> None:
    hub.refused = {"vae/diffusion_pytorch_model.safetensors"}
    text = failure(BASE, "base", hub.endpoint, hf_home)
    assert "403" in text
    assert "resume the download" in text
    arrived = set(hub.served)
    assert arrived
    hub.refused = set()
    hub.served.clear()
    assert run_pull(BASE, "base", hub.endpoint, hf_home).returncode == 0
    assert set(hub.served) == BASE_READ - arrived


def test_half_precision_is_downloaded_only_if_there_is_no_other(
    hub: FakeHub, hf_home: Path
) -> None:
    del hub.repositories[BASE]["unet/diffusion_pytorch_model.safetensors"]
    assert run_pull(BASE, "base", hub.endpoint, hf_home).returncode == 0
    fp16 = {name for name in hub.served if ".fp16." in name}
    assert fp16 == {"unet/diffusion_pytorch_model.fp16.safetensors"}


def test_unreachable_hub_is_reported(hf_home: Path) -> None:
    with running(FakeHub(repositories={})) as gone:
        pass
    text = failure(CLAP, "clap", gone.endpoint, hf_home)
    assert f"{gone.endpoint} cannot be reached: " in text
    assert "Check the network" in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("me/nothing", "/me/nothing does not exist or is private"),
        (f"{CLAP}@v9", f"/{CLAP} has no revision 'v9'"),
        ("me/gated", "requires you to accept its terms"),
        ("some/double--dash", "some/double--dash is not a valid Hub name"),
        ("me/style", "/me/style cannot be used as a clap: it lacks config.json"),
    ],
)
def test_unusable_repository_is_reported(
    hub: FakeHub, hf_home: Path, source: str, message: str
) -> None:
    hub.gated = {"me/gated"}
    assert message in failure(source, "clap", hub.endpoint, hf_home)
    assert hub.served == []


def test_lack_of_space_is_reported_before_the_download(hub: FakeHub, hf_home: Path) -> None:
    hub.claimed_sizes = {"pytorch_model.bin": 10**18}
    text = failure(CLAP, "clap", hub.endpoint, hf_home)
    assert f"Not enough space for {CLAP} in {hf_home / 'hub'}: needs 1000000000.0 GB" in text
    assert "HF_HOME" in text
    assert hub.served == []


def test_offline_mode_is_reported(hub: FakeHub, hf_home: Path) -> None:
    text = failure(CLAP, "clap", hub.endpoint, hf_home, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in text
    assert hub.requests == []


def test_unsupported_base_is_rejected_before_its_weights_are_downloaded(
    hub: FakeHub, hf_home: Path
) -> None:
    hub.repositories[BASE]["unet/config.json"] = b'{"addition_embed_type": "text_time"}'
    assert "This base is not supported." in failure(BASE, "base", hub.endpoint, hf_home)
    assert "unet/config.json" in hub.served
    assert not [name for name in hub.served if name.endswith(".safetensors")]


def test_pipeline_is_pulled_in_one_variant_and_from_one_commit(hub: FakeHub, hf_home: Path) -> None:
    hub.repositories["me/xl"] = {**contents(SDXL), "model_index.json": SDXL_INDEX}
    result = run_pull("me/xl", "base", hub.endpoint, hf_home, "fp16")
    assert (result.returncode, result.stderr) == (0, "")
    weights = {name for name in hub.served if name.endswith(".safetensors")}
    assert weights == {name for name in SDXL_READ if ".fp16." in name}
    assert set(hub.served) == SDXL_READ
    folder = Path(result.stdout.strip())
    assert (folder.name, locate("me/xl", "base")) == (COMMIT, folder)


def test_pipeline_is_checked_before_its_weights_are_downloaded(hub: FakeHub, hf_home: Path) -> None:
    hub.repositories["me/xl"] = {
        **contents(SDXL),
        "model_index.json": SDXL_INDEX,
        "unet/config.json": b"text_time",
    }
    assert "This base is not supported." in failure("me/xl", "base", hub.endpoint, hf_home)
    assert "unet/config.json" in hub.served
    assert not [name for name in hub.served if name.endswith(".safetensors")]


def test_lora_and_vae_are_pulled(hub: FakeHub, hf_home: Path) -> None:
    lora = {"README.md", "pytorch_lora_weights.safetensors", "other.safetensors"}
    vae = {"config.json", "diffusion_pytorch_model.safetensors", "taesd_encoder.safetensors"}
    hub.repositories |= {"me/lora": contents(lora), "me/tiny": contents(vae)}
    result = run_pull("me/lora", "lora", hub.endpoint, hf_home)
    assert Path(result.stdout.strip()).name == "pytorch_lora_weights.safetensors"
    assert run_pull("me/tiny", "vae", hub.endpoint, hf_home).returncode == 0
    assert sorted(hub.served) == [
        "config.json", "diffusion_pytorch_model.safetensors", "pytorch_lora_weights.safetensors",
    ]  # fmt: skip
