"""What holds for the whole command line: help, settings, imports, questions, Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from covergen.cli.main import cli
from covergen.pipeline.events import MOST_LISTED
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import Library, encode

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="wants the full device of Linux")
def test_output_to_a_full_disk_is_told_in_a_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "covergen", "models", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert "the disk that it goes to is full" in done.stderr
    assert "Traceback" not in done.stderr


def commands(group: click.Group, prefix: str = "covergen") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


@pytest.mark.parametrize(("name", "command"), list(commands(cli)), ids=str)
def test_every_command_and_option_has_help_and_is_documented(
    name: str, command: click.Command
) -> None:
    assert command.help
    assert all(p.help for p in command.params if isinstance(p, click.Option))
    assert name in (ROOT / ".docs/commands.md").read_text()


def python(code: str, *arguments: object) -> str:
    """What Python prints that runs `code` in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


HEAVY = "{'torch', 'numpy', 'diffusers', 'transformers', 'mutagen', 'av', 'PIL'} & set(sys.modules)"


def test_no_command_imports_what_is_heavy_before_it_runs() -> None:
    code = f"import sys; from covergen.cli.main import cli; dict(cli.commands); print({HEAVY})"
    assert python(code) == "set()\n"


def test_the_list_of_commands_is_that_of_the_commands_and_imports_none() -> None:
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


def test_a_dry_run_imports_no_torch(library: Library) -> None:
    code = (
        "import sys; from covergen.cli.main import cli;"
        "cli(['tag', '--dry-run', '--quiet', sys.argv[1]], standalone_mode=False);"
        "print('torch' in sys.modules)"
    )
    assert python(code, library.root / "Two Discs").endswith("False\n")


def test_settings_come_from_the_command_line_the_environment_then_the_file(
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


def test_every_mistake_of_the_settings_is_told_at_once(run: Run, home: Path) -> None:
    (home / "config/covergen/config.toml").write_text(
        '[tag]\nstep = 9\nsteps = 0\nformat = "gif"\n[paint]\nx = 1\n'
    )
    error = run("tag", ".", expect=2).stderr
    for told in ("tag.step", "'steps'", "tag.steps", "tag.format", "jpeg", "paint"):
        assert told in error
    assert "tag.step" in run("config", expect=2).stderr


class Terminal:
    """`covergen` in a process of its own, on a terminal."""

    def __init__(self, *arguments: object) -> None:
        self._screen, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (40, 100))
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


def test_on_a_terminal_it_asks_once_and_takes_no_for_an_answer(library: Library, run: Run) -> None:
    folder = library.root / "Two Discs"
    before = snapshot(folder)
    terminal = Terminal("tag", "-m", "tiny", folder)
    terminal.wait_for("Go ahead?")
    assert "1 cover, 4 files to write" in terminal.output
    assert "Bo Ek – Two Discs (2001)" in terminal.output
    assert "[Y/n]" in terminal.output
    terminal.type("n\n")
    assert terminal.finish() == 0
    assert snapshot(folder) == before


def test_more_albums_than_are_listed_have_to_be_agreed_to(run: Run, tmp_path: Path) -> None:
    song = encode(tmp_path / "song.mp3", "mp3", seconds=0.2).read_bytes()
    for number in range(MOST_LISTED + 1):
        folder = tmp_path / "Music" / str(number)
        folder.mkdir(parents=True)
        (folder / "song.mp3").write_bytes(song)
    before = snapshot(tmp_path)
    terminal = Terminal("tag", "-m", "tiny", tmp_path / "Music")
    terminal.wait_for("[y/N]")
    assert "To list these 21 albums: the same command with --dry-run." in terminal.output
    terminal.type("\n")
    assert terminal.finish() == 0
    assert snapshot(tmp_path) == before


def test_on_a_terminal_bars_and_lines_are_shown(library: Library, run: Run) -> None:
    terminal = Terminal("tag", "-m", "tiny", "--yes", library.root / "Two Discs")
    assert terminal.finish() == 0
    assert "4/4" in terminal.output
    assert "painted" in terminal.output
    assert "Bo Ek – Two Discs (2001)" in terminal.output


def test_the_bar_of_covers_goes_on_at_each_step_of_a_batch(library: Library, run: Run) -> None:
    folders = [library.root / name for name in ("Compilation", "Sampler", "Two Discs")]
    terminal = Terminal("tag", "-m", "tiny", "--yes", "--steps", 100, *folders)
    assert terminal.finish() == 0
    shown = re.findall(r"painted: +(\d+)%[^\r]* (\d)/3 ", terminal.output)
    assert any(0 < int(percent) < 100 and done == "0" for percent, done in shown)
    assert shown[-1] == ("100", "3")


def test_ctrl_c_writes_what_is_painted_and_the_next_run_does_the_rest(
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
    assert "what is painted is still written" in error
    assert "Traceback" not in error
    assert not list(library.root.rglob(".covergen-*"))
    objects = json_lines(run("tag", "-m", "tiny", "--json", *folders))
    results = [(o["result"], o["reason"]) for o in objects if o["type"] == "album"]
    painted = results.count(("painted", "no-cover"))
    assert 0 < painted < 4, "some were left for the second run"
    assert results.count(("skipped", "has-art")) == 4 - painted, "and none half done"


def test_a_closed_pipe_ends_quietly(library: Library, run: Run) -> None:
    command = f"{sys.executable} -m covergen tag -m tiny -n '{library.root}' | head -n 1"
    result = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_models_are_listed_shown_and_pulled(arguments: tuple[str, ...], run: Run) -> None:
    assert "tiny" in run("models", "list", *arguments).stdout
    assert "dpm++" in run("models", "show", "sd15", *arguments).stdout
    assert "There is no model" in run("models", "show", "sd51", *arguments, expect=2).stderr


def test_what_is_here_is_not_pulled_and_what_is_not_cannot_be_without_a_network(run: Run) -> None:
    assert "adapter.safetensors" in run("models", "pull", "tiny").stdout
    error = run("models", "pull", "sd15", expect=1).stderr
    assert "HF_HUB_OFFLINE" in error
    assert "Traceback" not in error


def test_ctrl_c_while_it_is_imported_leaves_no_traceback() -> None:
    code = (
        "import sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'covergen.cli.main':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from covergen.__main__ import main\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (result.returncode, result.stderr) == (130, "")


def test_the_version_has_a_short_option(run: Run) -> None:
    assert run("-V").output == run("--version").output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tag", "--json"), "Missing argument 'PATH...'"),
        (("tag", "--json", "--steps", "many", "."), "'many' is not a whole number from 1 to 1000."),
        (("--nope", "tag", "--json", "."), "No such option"),
        (("tga", "--json", "."), "No such command 'tga'"),
        (("tag", "--json", "--model", "none", "."), "There is no model 'none'."),
        (("models", "show", "--json"), "Missing argument 'NAME'"),
    ],
)
def test_with_json_wrong_use_is_an_object_too(
    arguments: tuple[str, ...], told: str, run: Run
) -> None:
    result = run(*arguments, expect=2)
    (error,) = json_lines(result)
    assert (error["type"], error["exit_code"]) == ("error", 2)
    assert told in error["message"]
    assert told in result.stderr
    assert run(*(word for word in arguments if word != "--json"), expect=2).stdout == ""


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--jobs", "abc", "'abc' is not a whole number from 1 to 64."),
        ("--jobs", "0", "'0' is not a whole number from 1 to 64."),
        ("--limit", "-1", "'-1' is not a whole number of at least 0."),
        ("--steps", "2.5", "'2.5' is not a whole number from 1 to 1000."),
        ("--guidance", "high", "'high' is not a number from 0 to 100."),
        ("--guidance", "nan", "'nan' is not a number from 0 to 100."),
        ("--batch-size", "all", "neither 'auto' nor a whole number of at least 1."),
    ],
)
def test_a_number_that_does_not_fit_is_told_with_what_does(
    option: str, value: str, told: str, run: Run
) -> None:
    assert told in run("tag", option, value, ".", expect=2).stderr


def test_numbers_in_the_settings_are_held_to_the_same(run: Run, home: Path) -> None:
    file = home / "config/covergen/config.toml"
    file.write_text("[tag]\njobs = true\nsteps = 2.5\nguidance = nan\nlimit = 3\n")
    error = run("tag", ".", expect=2).stderr
    for told in ("tag.jobs: 'True' is", "tag.steps: '2.5' is", "tag.guidance: 'nan' is"):
        assert told in error
    assert "limit" not in error


@pytest.mark.parametrize(("name", "command"), list(commands(cli)), ids=str)
def test_no_option_is_described_by_its_type_alone(name: str, command: click.Command) -> None:
    """As `--model TEXT` would be."""
    for option in command.params:
        if isinstance(option, click.Option) and not (option.is_flag or option.hidden):
            assert option.metavar or isinstance(option.type, click.Choice), option.name
