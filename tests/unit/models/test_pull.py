"""Pulling from the Hub: a real HTTP server on the loopback, a fresh process for each pull."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from covergen.models.files import Kind
from covergen.models.locate import locate
from tests.unit.models.fake_hub import COMMIT, FakeHub, running
from tests.unit.models.layouts import (
    BASE,
    BASE_READ,
    BASE_UNREAD,
    CLAP,
    CLAP_READ,
    CLAP_UNREAD,
    contents,
)

SCRIPT = """
import json
import sys
from pathlib import Path
from covergen.core.errors import ModelError
from covergen.models.locate import pull


def check(folder):
    unet = folder / "unet/config.json"
    if b"addition_embed_type" in unet.read_bytes():  # the others' configs are empty
        from covergen.diffusion.base_config import check_configs

        check_configs(folder)


try:
    print(pull(sys.argv[1], sys.argv[2], check=check if sys.argv[2] == "base" else None))
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
    """The Hub's folder, for the pulling process and for this one."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    return tmp_path / "hf"


def run_pull(
    source: str, kind: Kind, endpoint: str, hf_home: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    settings = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_HOME": str(hf_home)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, source, kind],
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def failure(source: str, kind: Kind, endpoint: str, hf_home: Path, **environment: str) -> str:
    done = run_pull(source, kind, endpoint, hf_home, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith("ModelError: ")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [(BASE, "base", BASE_READ), (CLAP, "clap", CLAP_READ)],
)
def test_a_pull_fetches_what_covergen_reads_and_no_more(
    hub: FakeHub, hf_home: Path, source: str, kind: Kind, expected: set[str]
) -> None:
    done = run_pull(source, kind, hub.endpoint, hf_home)
    assert (done.returncode, done.stderr) == (0, "")  # no bars where there is no terminal
    folder = Path(done.stdout.strip())
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
    assert found == contents(expected)
    assert sorted(hub.served) == sorted(expected)
    assert locate(source, kind) == folder


def test_clap_in_both_formats_is_fetched_once_as_safetensors(hub: FakeHub, hf_home: Path) -> None:
    hub.repositories[CLAP] |= contents({"model.safetensors"})
    assert run_pull(CLAP, "clap", hub.endpoint, hf_home).returncode == 0
    assert "model.safetensors" in hub.served
    assert "pytorch_model.bin" not in hub.served


def test_an_adapter_is_pulled(hub: FakeHub, hf_home: Path) -> None:
    done = run_pull("me/style", "adapter", hub.endpoint, hf_home)
    assert Path(done.stdout.strip()).name == "style.safetensors"
    assert hub.served == ["style.safetensors"]


def test_the_old_name_is_pulled_from_the_new(hub: FakeHub, hf_home: Path) -> None:
    done = run_pull("runwayml/stable-diffusion-v1-5", "base", hub.endpoint, hf_home)
    assert done.returncode == 0
    assert not [request for request in hub.requests if "runwayml" in request]


def test_what_is_here_is_not_asked_for_again(hub: FakeHub, hf_home: Path) -> None:
    first = run_pull(CLAP, "clap", hub.endpoint, hf_home)
    hub.requests.clear()
    assert run_pull(CLAP, "clap", hub.endpoint, hf_home).stdout == first.stdout
    assert hub.requests == []


def test_a_pull_that_was_cut_off_goes_on_where_it_was(hub: FakeHub, hf_home: Path) -> None:
    hub.refused = {"vae/diffusion_pytorch_model.safetensors"}
    text = failure(BASE, "base", hub.endpoint, hf_home)
    assert "403" in text
    assert "what has arrived is kept" in text
    arrived = set(hub.served)
    assert arrived
    hub.refused = set()
    hub.served.clear()
    assert run_pull(BASE, "base", hub.endpoint, hf_home).returncode == 0
    assert set(hub.served) == BASE_READ - arrived


def test_half_precision_is_fetched_only_where_there_is_no_other(
    hub: FakeHub, hf_home: Path
) -> None:
    del hub.repositories[BASE]["unet/diffusion_pytorch_model.safetensors"]
    assert run_pull(BASE, "base", hub.endpoint, hf_home).returncode == 0
    fp16 = {name for name in hub.served if ".fp16." in name}
    assert fp16 == {"unet/diffusion_pytorch_model.fp16.safetensors"}


def test_a_hub_that_cannot_be_reached_is_told(hf_home: Path) -> None:
    with running(FakeHub(repositories={})) as gone:
        pass
    text = failure(CLAP, "clap", gone.endpoint, hf_home)
    assert f"{gone.endpoint} cannot be reached: " in text
    assert "Check the network" in text


def test_a_repository_that_does_not_exist_is_told(hub: FakeHub, hf_home: Path) -> None:
    assert f"There is no {hub.endpoint}/me/nothing" in failure(
        "me/nothing", "base", hub.endpoint, hf_home
    )


def test_a_revision_that_does_not_exist_is_told(hub: FakeHub, hf_home: Path) -> None:
    text = failure(f"{CLAP}@v9", "clap", hub.endpoint, hf_home)
    assert f"{hub.endpoint}/{CLAP} has no revision 'v9'" in text


def test_a_gated_repository_is_told(hub: FakeHub, hf_home: Path) -> None:
    hub.gated = {CLAP}
    text = failure(CLAP, "clap", hub.endpoint, hf_home)
    assert "accepted its terms" in text
    assert "hf auth login" in text


def test_a_repository_of_another_kind_is_told_before_anything_is_fetched(
    hub: FakeHub, hf_home: Path
) -> None:
    text = failure(CLAP, "base", hub.endpoint, hf_home)
    assert f"{hub.endpoint}/{CLAP} cannot be used as a base: it lacks unet/config.json" in text
    assert hub.served == []


def test_too_little_space_is_told_before_anything_is_fetched(hub: FakeHub, hf_home: Path) -> None:
    hub.claimed_sizes = {"pytorch_model.bin": 10**18}
    text = failure(CLAP, "clap", hub.endpoint, hf_home)
    assert f"No space for {CLAP} in {hf_home / 'hub'}: needs 1000000000.0 GB" in text
    assert "HF_HOME" in text
    assert hub.served == []


def test_a_cache_that_cannot_be_written_is_told(hub: FakeHub, hf_home: Path) -> None:
    hf_home.mkdir()
    (hf_home / "hub").write_text("a file where a folder belongs")
    text = failure(CLAP, "clap", hub.endpoint, hf_home)
    assert f"{CLAP} cannot be stored in {hf_home / 'hub'}" in text


def test_offline_mode_is_told(hub: FakeHub, hf_home: Path) -> None:
    text = failure(CLAP, "clap", hub.endpoint, hf_home, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in text
    assert hub.requests == []


def test_a_name_that_the_hub_does_not_allow_is_told(hub: FakeHub, hf_home: Path) -> None:
    text = failure("some/double--dash", "clap", hub.endpoint, hf_home)
    assert "some/double--dash is no name that the Hub allows" in text


def test_all_files_are_of_the_commit_that_the_pull_began_with(hub: FakeHub, hf_home: Path) -> None:
    assert run_pull(BASE, "base", hub.endpoint, hf_home).returncode == 0
    files = [line.split(" ")[1] for line in hub.requests if "/resolve/" in line]
    assert files
    assert {path.split("/resolve/")[1].split("/")[0] for path in files} == {COMMIT}
    assert locate(BASE, "base").name == COMMIT


def test_a_base_of_another_family_is_refused_before_its_weights_are_fetched(
    hub: FakeHub, hf_home: Path
) -> None:
    config = {"_class_name": "UNet2DConditionModel", "addition_embed_type": "text_time"}
    config |= {"projection_class_embeddings_input_dim": 2816, "addition_time_embed_dim": 256}
    files = hub.repositories[BASE]
    files["unet/config.json"] = json.dumps(config).encode()
    files["vae/config.json"] = json.dumps({"_class_name": "AutoencoderKL"}).encode()
    error = failure(BASE, "base", hub.endpoint, hf_home)
    assert "expected no addition_embed_type" in error
    assert not [name for name in hub.served if name.endswith(".safetensors")]
