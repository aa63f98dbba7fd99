"""Check that the packages covergen requires are installed in a supported version."""

import shlex
import sys
from collections.abc import Iterable
from importlib import import_module, metadata

from covergen.core.errors import DependencyError

# torchaudio is built against one version of torch, so the two are reinstalled together.
_COUPLED = {"torch": ("torch", "torchaudio"), "torchaudio": ("torch", "torchaudio")}
_MODULES = {"huggingface-hub": "huggingface_hub", "pillow": "PIL", "fonttools": "fontTools"}


def check_dependencies(names: Iterable[str]) -> None:
    """Check each package's version against covergen's requirements, then import it.

    Raises DependencyError for the first package that is missing, has an unsupported version or
    cannot be imported; its hint is the command that repairs the installation.
    """
    try:
        required = _requirements()
    except ImportError:  # packaging itself is missing, so versions cannot be compared
        required = {}
        names = ("packaging",)
    for name in names:
        specifier = required.get(name, "")
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise _broken(name, "is not installed", required) from None
        if specifier and not _matches(installed, specifier):
            raise _broken(name, f"is installed in version {installed}", required)
        try:
            import_module(_MODULES.get(name, name))
        except Exception as error:  # a broken package may raise anything
            problem = f"{installed} is installed but cannot be imported ({_first_line(error)})"
            raise _broken(name, problem, required, "--force-reinstall ") from error


def dependency_names() -> tuple[str, ...]:
    """The names of all required packages, in the order of pyproject.toml."""
    return tuple(_requirements())


def _requirements() -> dict[str, str]:
    """Map each required package to its version specifier; empty if covergen is not installed."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("covergen") or []
    except metadata.PackageNotFoundError:
        return {}
    requirements = [Requirement(line) for line in lines]
    return {r.name: str(r.specifier) for r in requirements if "extra" not in str(r.marker)}


def _matches(version: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


def _broken(name: str, problem: str, required: dict[str, str], option: str = "") -> DependencyError:
    wanted = [f'"{package}{required.get(package, "")}"' for package in _COUPLED.get(name, (name,))]
    expected = f"; covergen needs {name}{required[name]}" if required.get(name) else ""
    repair = f"{shlex.quote(sys.executable)} -m pip install {option}{' '.join(wanted)}"
    return DependencyError(
        f"The Python package {name} {problem}{expected}.", hint=f"Repair it with: {repair}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
