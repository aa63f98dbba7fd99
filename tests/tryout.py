"""The main job without a model of one's own: `python -m tests.tryout DIR`.

Makes a small library of real music files in every container and a model of the true classes with
random weights, and runs `covergen tag` on them. Every step is the real one; the pictures are noise.
"""

import shlex
import subprocess
import sys
from pathlib import Path

from tests.media import make_library
from tests.tiny_base import make_tiny_adapter, make_tiny_base
from tests.tiny_clap import make_tiny_clap


def main(folder: Path) -> int:
    """Make library and model in `folder`, which must not exist yet, and tag the library."""
    if folder.exists():
        sys.exit(f"{folder} is there already: name another folder.")
    folder.mkdir(parents=True)
    base = make_tiny_base(folder / "model/base")
    clap = make_tiny_clap(folder / "model/clap")
    adapter = make_tiny_adapter(folder / "model/adapter.safetensors", base)
    library = make_library(folder / "Music")
    command = [
        *("covergen", "tag", str(library.root), "--yes", "--model", "sd15", "--steps", "4"),
        *("--exclude", "Damaged", "--exclude", "Read Only"),  # what other tests are for
        *("--base", str(base), "--clap", str(clap), "--adapter", str(adapter)),
    ]
    print("$", shlex.join(command), flush=True)  # noqa: T201 - this is a script
    return subprocess.run([sys.executable, "-m", *command], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
