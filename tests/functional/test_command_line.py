"""The whole command line: help, settings, imports, confirmation, progress and Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import click
import pytest

from covergen.cli.main import cli
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import Library

ROOT = Path(__file__).parents[2]


def python(code: str, *arguments: object) -> str:
    """Run `code` in a new Python process and return its output."""
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.processes
def test_help_lists_the_commands_without_importing_them() -> None:
    code = (
        "import sys; from covergen.cli.main import cli; cli(['--help'], standalone_mode=False);"
        "print(*sorted(name for name in sys.modules if name.startswith('covergen.')))"
    )
    *listed, imported = python(code).splitlines()
    assert imported.split() == [
        "covergen.cli",
        "covergen.cli.main",
        "covergen.core",
        "covergen.core.errors",
        "covergen.core.reasons",
    ]
    listed = listed[listed.index("Commands:") + 1 :]
    assert [line.split(maxsplit=1) for line in listed] == [
        [name, command.get_short_help_str(100)] for name, command in sorted(cli.commands.items())
    ]


@pytest.mark.processes
def test_commands_that_paint_nothing_import_no_torch(library: Library, run: Run) -> None:
    """In one process, since starting one takes longer than the commands."""
    folder = library.root / "Two Discs"
    run("tag", "--model", "poster", "--size", 64, folder)
    commands = [
        ["tag", "--dry-run", "--quiet", folder],
        ["info", folder, folder / "CD1/01 Up.mp3"],
        ["cache"],
        ["cache", "prune", "--all", "embeddings", "latents", "scans", "rates"],
        ["runs"],
        ["strip", "--quiet", folder],
        ["undo", "--yes"],
    ]
    code = (
        "import ast, sys; from covergen.cli.main import cli\n"
        "for words in ast.literal_eval(sys.argv[1]): cli(words, standalone_mode=False)\n"
        "print({'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    )
    words = [[str(word) for word in command] for command in commands]
    assert python(code, words).endswith("set()\n")


def test_command_line_overrides_environment_overrides_config_file(
    library: Library, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config/covergen/config.toml").write_text(
        '[tag]\nmodel = "tiny"\nlimit = 1\nexclude = ["Sampler"]\ndry-run = true\njson = true\n'
    )
    folders = [library.root / name for name in ("Two Discs", "Sampler", "Compilation", "Untagged")]

    def to_paint(*options: object) -> int:
        objects = json_lines(run("tag", *options, *folders))
        return sum(o.get("action") == "paint" for o in objects)

    assert to_paint() == 1
    monkeypatch.setenv("COVERGEN_TAG_LIMIT", "2")
    assert to_paint() == 2
    assert to_paint("--limit", 3) == 3
    shown = run("config").stdout
    assert str(home / "state") in shown
    assert re.search(r"^limit = 2 +# environment$", shown, re.M)
    assert re.search(r'^model = "tiny" +# config.toml$', shown, re.M)
    assert re.search(r"^seed = 0 +# default$", shown, re.M)


def test_config_shows_values_of_every_type(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "TAG_PATH_MAP": ("/a=/b", 'path-map = ["/a=/b"]'),
        "TAG_BATCH_SIZE": ("auto", 'batch-size = "auto"'),
        "TAG_DRY_RUN": ("0", "dry-run = false"),
        "DATASET_FROM_JAMENDO_SINCE": ("2020-02-29", "since = 2020-02-29"),
        "PREVIEW_OUTPUT": ("covers", 'output = "covers"'),
    }
    for name, (text, _) in given.items():
        monkeypatch.setenv(f"COVERGEN_{name}", text)
    shown = run("config").stdout.splitlines()
    for _, line in given.values():
        assert f"{line}  # environment" in shown


def test_every_mistake_in_the_config_file_is_reported(run: Run, home: Path) -> None:
    (home / "config/covergen/config.toml").write_text(
        '[tag]\nstep = 9\nsteps = 2.5\nformat = "gif"\njobs = true\nguidance = nan\nlimit = 3\n'
        'exclude = "Podcasts"\n[paint]\nx = 1\n'
    )
    error = run("tag", ".", expect=2).stderr
    for message in (
        "tag.exclude: 'Podcasts' is not a list, such as ['Podcasts']",
        "tag.step: no such option; did you mean 'steps'",
        "tag.steps: '2.5' is",
        "tag.format",
        "jpeg",
        "tag.jobs: 'True' is",
        "tag.guidance: 'nan' is",
        "paint: not the table of a command",
    ):
        assert message in error
    assert "limit" not in error
    assert "tag.step" in run("config", expect=2).stderr


class Terminal:
    """A `covergen` process on a pseudo-terminal."""

    def __init__(self, *arguments: object, columns: int = 100) -> None:
        self._screen, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (40, columns))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "covergen", *map(str, arguments)],
            cwd=ROOT,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self.output = ""

    def wait_for(self, text: str) -> None:
        while text not in self.output:
            self._read()

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def finish(self) -> int:
        with suppress(OSError):  # the terminal closes with the last process on it
            while True:
                self._read()
        os.close(self._screen)
        return self.process.wait(60)

    def _read(self) -> None:
        self.output += os.read(self._screen, 4096).decode(errors="replace")


def test_nothing_is_written_without_confirmation(
    library: Library, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = library.root / "Two Discs"
    before = snapshot(folder)
    monkeypatch.setattr("covergen.cli.confirm.would_ask", lambda **_: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    shown = run("tag", "-m", "tiny", folder).stderr
    assert "1 cover, 4 files to write" in shown
    assert "Bo Ek – Two Discs (2001)" in shown
    assert "Nothing was written." in shown
    assert snapshot(folder) == before


@pytest.mark.processes
def test_only_a_terminal_shortens_names(library: Library, run: Run) -> None:
    plan = ("tag", "-m", "tiny", "--dry-run", library.root / "Two Discs")
    terminal = Terminal(*plan, columns=60)
    assert terminal.finish() == 0
    assert "4 tracks  Bo Ek – Two…scs (2001)\r\n" in terminal.output
    assert "4 tracks  Bo Ek – Two Discs (2001)\n" in run(*plan).stdout


@pytest.mark.processes
def test_progress_bars_advance_at_each_step_of_a_batch(library: Library, run: Run) -> None:
    folders = [library.root / name for name in ("Compilation", "Sampler", "Two Discs")]
    terminal = Terminal("tag", "-m", "tiny", "--steps", 40, *folders)
    terminal.wait_for("Continue? [Y/n]")
    terminal.type("y\n")
    assert terminal.finish() == 0
    assert "embedded:  100%" in terminal.output
    assert "Bo Ek – Two Discs (2001)" in terminal.output
    painted = re.findall(r"painted: +(\d+)%[^\r]* (\d)/3 ", terminal.output)
    assert any(0 < int(percent) < 100 and done == "0" for percent, done in painted)
    assert painted[-1] == ("100", "3")


@pytest.mark.processes
def test_ctrl_c_writes_painted_covers_and_the_next_run_continues(
    library: Library, run: Run
) -> None:
    folders = [library.root / name for name in ("Compilation", "Sampler", "Two Discs", "Untagged")]
    process = subprocess.Popen(
        [sys.executable, "-m", "covergen", "tag", "-m", "tiny", "--batch-size", "1", *folders],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("painted"):
            process.send_signal(signal.SIGINT)
            break
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "painted covers are still written" in error
    assert "Traceback" not in error
    assert not list(library.root.rglob(".covergen-*"))
    objects = json_lines(run("tag", "-m", "tiny", "--json", *folders))
    results = [(o["result"], o["reason"]) for o in objects if o["type"] == "album"]
    painted = results.count(("painted", "no-cover"))
    assert 0 < painted < 4, "some albums are left for the second run"
    assert results.count(("skipped", "has-art")) == 4 - painted, "no album is half done"


@pytest.mark.processes
def test_closed_pipe_ends_quietly(library: Library, run: Run) -> None:
    command = f"{sys.executable} -m covergen tag -m tiny -n '{library.root}' | head -n 1"
    result = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="requires /dev/full")
@pytest.mark.processes
def test_output_to_a_full_disk_is_one_error_line(run: Run) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "covergen", "models", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode != 0
    assert "no space left on the disk" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_models_are_listed_and_shown(arguments: tuple[str, ...], run: Run) -> None:
    assert "tiny" in run("models", "list", *arguments).stdout
    shown = run("models", "show", "sd15", *arguments)
    assert "dpm++" in shown.stdout
    if not arguments:
        assert shown.stderr == "Download what is missing with: covergen models pull sd15\n"
    assert "There is no model" in run("models", "show", "sd51", *arguments, expect=2).stderr


def test_pull_downloads_only_what_is_missing(run: Run) -> None:
    assert "adapter.safetensors" in run("models", "pull", "tiny").stdout
    error = run("models", "pull", "sd15", expect=1).stderr
    assert "HF_HUB_OFFLINE" in error
    assert "Traceback" not in error


@pytest.mark.processes
def test_ctrl_c_leaves_no_traceback_and_waits_for_no_thread() -> None:
    code = (
        "import sys, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'covergen.cli.main':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from covergen.__main__ import main\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (130, "")


def test_objects_that_live_until_the_end_are_not_searched_for_garbage() -> None:
    """After importing diffusers, these searches would take more than a second."""
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count()))\n"
        "from covergen.__main__ import main\n"
        "sys.argv = ['covergen', '--version']\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    threshold, frozen = map(int, result.stdout.splitlines()[-1].split())
    assert threshold >= 10_000
    assert frozen >= 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tag", "--json"), "Missing argument 'PATH...'"),
        (("tag", "--json", "--steps", "many", "."), "'many' is not a whole number from 1 to 1000."),
        (("--nope", "tag", "--json", "."), "No such option"),
        (("tga", "--json", "."), "No such command 'tga'"),
        (("tag", "--json", "--model", "none", "."), "There is no model 'none'."),
        (("models", "show", "--json"), "Missing argument 'NAME'"),
    ],
)
def test_json_reports_wrong_usage_as_an_object(
    arguments: tuple[str, ...], message: str, run: Run
) -> None:
    result = run(*arguments, expect=2)
    (error,) = json_lines(result)
    assert (error["type"], error["exit_code"]) == ("error", 2)
    assert message in error["message"]
    assert message in result.stderr
    assert run(*(word for word in arguments if word != "--json"), expect=2).stdout == ""


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--jobs", "abc", "'abc' is not a whole number from 1 to 64."),
        ("--guidance", "nan", "'nan' is not a number from 0 to 100."),
        ("--batch-size", "all", "neither 'auto' nor a whole number of at least 1."),
    ],
)
def test_number_out_of_range_is_reported_with_the_range(
    option: str, value: str, message: str, run: Run
) -> None:
    assert message in run("tag", option, value, ".", expect=2).stderr
