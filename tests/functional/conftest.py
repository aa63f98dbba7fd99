"""The command line, a library and a small model to drive it with."""

import io
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator
from PIL import Image

from covergen.cli.main import cli
from covergen.cli.output.renderer import Renderer
from covergen.diffusion.painter import Painter, load_painter
from covergen.pipeline.events import AlbumDone
from tests.tiny_base import make_tiny_adapter, make_tiny_base
from tests.tiny_clap import make_tiny_clap


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyModel:
    """A model of the true classes with small random weights."""

    base: Path
    clap: Path
    adapter: Path

    def preset(self) -> str:
        """The lines of a models.toml that define it as "tiny"."""
        parts = f'base = "{self.base}"\nclap = "{self.clap}"\nadapter = "{self.adapter}"\n'
        return f"[tiny]\n{parts}steps = 2\nguidance = 3.0\n"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    folder = tmp_path_factory.mktemp("tiny")
    base = make_tiny_base(folder / "base")
    return TinyModel(
        base=base,
        clap=make_tiny_clap(folder / "clap"),
        adapter=make_tiny_adapter(folder / "adapter.safetensors", base),
    )


@pytest.fixture(scope="session")
def painters() -> dict[object, Painter]:
    return {}


@pytest.fixture(autouse=True)
def _load_each_painter_once(
    painters: dict[object, Painter], kept_decoders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading a small model takes longer than painting with it."""

    def load_once(base: Path, adapter: Path | None, **options: Any) -> Painter:
        others = [adapter, options["vae"], *(file for file, _ in options["loras"])]
        folders = [base, *filter(None, others)]
        files = [p for folder in folders for p in (folder, *sorted(folder.rglob("*")))]
        key = str(options), *((path, path.stat().st_mtime_ns) for path in files)
        if key not in painters:
            painters[key] = load_painter(base, adapter, **options)
        return painters[key]

    monkeypatch.setattr("covergen.diffusion.painter.load_painter", load_once)


Run = Callable[..., Result]


@pytest.fixture
def run(tiny_model: TinyModel, home: Path) -> Run:
    """Run `covergen ARGUMENTS`, expecting an exit code; the user's own preset "tiny" is there."""
    file = home / "config/covergen/models.toml"
    file.parent.mkdir(parents=True)
    file.write_text(tiny_model.preset())
    runner = CliRunner()

    def invoke(*arguments: object, expect: int = 0) -> Result:
        result = runner.invoke(cli, [str(a) for a in arguments], prog_name="covergen")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == expect, result.output
        return result

    return invoke


_SCHEMA = json.loads((Path(__file__).parents[2] / ".docs/json.schema.json").read_text())
_VALIDATOR = Draft202012Validator(_SCHEMA)


def json_lines(result: Result) -> list[dict[str, Any]]:
    """The objects that a command printed with --json, each of which fits the documented schema."""
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    for value in objects:
        _VALIDATOR.validate(value)
    return objects


def provenance(picture: Path | bytes) -> dict[str, str]:
    """The texts that covergen wrote into a PNG, by the names of their fields."""
    with Image.open(picture if isinstance(picture, Path) else io.BytesIO(picture)) as image:
        texts: dict[str, str] = image.text  # type: ignore[attr-defined]  # PNGs have it
    return {name.removeprefix("covergen:"): text for name, text in texts.items()}


@contextmanager
def ctrl_c_after_an_album(result: str = "painted") -> Iterator[None]:
    """Press Ctrl-C once the first album has this result."""
    show = Renderer._show_album

    def show_and_stop(self: Renderer, done: AlbumDone) -> None:
        show(self, done)
        if done.result == result and self.tally.count(result) == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Renderer, "_show_album", show_and_stop)
        yield


def snapshot(root: Path) -> dict[Path, tuple[bytes, int]]:
    """Every file below a folder with its bytes and its modification time."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
