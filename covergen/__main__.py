"""`covergen` and `python -m covergen`: the command line, also while that is being imported."""

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run the command line. Ctrl-C and a broken dependency end it without a traceback."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> None:
    try:
        from covergen.cli.main import main as run

        run()
    except ImportError as error:
        _explain(error)
    except OSError as error:
        if error.errno is not None:
            raise
        _explain(error)  # a shared library does not load


def _explain(error: Exception) -> NoReturn:
    """Exit with the name of the package that is broken, or raise the error if none is."""
    from covergen.core.dependencies import check_dependencies, dependency_names
    from covergen.core.errors import DependencyError

    try:
        check_dependencies(dependency_names())
    except DependencyError as broken:
        sys.exit(f"Error: {broken}")
    raise error


if __name__ == "__main__":
    main()
