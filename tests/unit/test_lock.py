"""What is installed is what is locked, and what the README installs from."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCK = CHECKOUT / ".requirements.lock"


def locked() -> dict[str, str]:
    """The versions for this Python on this machine, by name."""
    lines = [line for line in LOCK.read_text().splitlines() if line and line[0] != "#"]
    requirements = [Requirement(line) for line in lines]
    return {
        canonicalize_name(r.name): str(r.specifier).removeprefix("==")
        for r in requirements
        if r.marker is None or r.marker.evaluate()
    }


def closure() -> set[str]:
    """covergen's requirements, those of `dev`, theirs, and so on, as installed here."""
    found: set[str] = set()
    pending = [Requirement("covergen[dev]")]
    while pending:
        requirement = pending.pop()
        for line in metadata.requires(requirement.name) or []:
            wanted = Requirement(line)
            extras = requirement.extras or {""}
            if wanted.marker and not any(wanted.marker.evaluate({"extra": e}) for e in extras):
                continue
            name = canonicalize_name(wanted.name)
            if name not in found or wanted.extras:
                found.add(name)
                pending.append(
                    Requirement(name + (f"[{','.join(wanted.extras)}]" if wanted.extras else ""))
                )
    return found


def test_every_requirement_is_installed_in_its_locked_version() -> None:
    versions = locked()
    for name in closure():
        assert name in versions, f"{name} is not locked: run .ci/lock"
        assert metadata.version(name).split("+")[0] == versions[name], name


def test_the_lock_satisfies_pyproject() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    versions = locked()
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), line


def test_the_coupled_pair_is_pinned_tightly() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    torch, torchaudio = (
        next(
            Requirement(d).specifier for d in project["dependencies"] if Requirement(d).name == name
        )
        for name in ("torch", "torchaudio")
    )
    assert not torch.contains("2.15.0")
    assert not torch.contains("2.13.0")
    assert not torchaudio.contains("2.11.0")


def test_both_commands_of_the_readme_install_from_the_lock() -> None:
    commands = re.findall(
        r"^python3 -m venv .*$", (CHECKOUT / "README.md").read_text(), re.MULTILINE
    )
    assert len(commands) == 2
    for command in commands:
        assert f"pip install -q -c {LOCK.name} " in command
