"""`covergen` and `python -m covergen`: the command line, also while that is being imported."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. Ctrl-C ends it with 130, as shells report it, and no traceback."""
    try:
        from covergen.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
