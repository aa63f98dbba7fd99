"""Entry point of `covergen` and `python -m covergen`."""

import atexit
import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from traceback import walk_tb
from typing import NoReturn

_INTERRUPTED = 130  # as in cli.main, which takes long to import
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main() -> None:
    """Run the command line. Ctrl-C and broken dependencies exit without a traceback."""
    try:
        _run()
    except KeyboardInterrupt:
        _exit_at_once()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            _exit_at_once()
        raise


def _exit_at_once() -> NoReturn:
    """End the process, though a thread may still be painting, for which Python would wait."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there may be none, or a closed one
            stream.flush()
    os._exit(_INTERRUPTED)


def _run() -> None:
    # torch and diffusers create a million objects when imported, and keep them. By default, Python
    # searches these for garbage so often that it takes a fifth of the time to import them, and
    # again before it exits, which takes more than a second.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)
    try:
        from covergen.cli.main import main as run

        run()
    except Exception as error:  # a broken package may raise anything
        if not _is_from_import(error):
            raise
        _exit_with_broken_package(error)


def _is_from_import(error: Exception) -> bool:
    """Return whether the error was raised while importing another package."""
    if isinstance(error, ImportError):
        return True
    own = str(Path(__file__).parent)
    frames = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
    last_own = max(k for k, code in enumerate(frames) if code.co_filename.startswith(own))
    return any(code.co_name == "<module>" for code in frames[last_own + 1 :])


def _exit_with_broken_package(error: Exception) -> NoReturn:
    """Exit with the name of the broken package, or raise the error if there is none."""
    from covergen.core.dependencies import check_dependencies, dependency_names
    from covergen.core.errors import DependencyError

    try:
        check_dependencies(dependency_names())
    except DependencyError as broken:
        sys.exit(f"Error: {broken}")
    raise error


if __name__ == "__main__":
    main()
