"""Compare covergen's speed with the reference: `python -m tests.benchmarks [NAME…]`.

A benchmark is a function in the module of the same name that takes a Setting and yields rows. Each
row is measured and its result sent back before the next one is requested.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.race import Setting, machine, measure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.benchmarks.race import Result, Row

NAMES = ("front", "embed", "paint", "train", "write", "start", "memory")


def main() -> None:
    """Run the named benchmarks, and print each row when it is measured."""
    options = _parse()
    rows: list[dict[str, Any]] = []
    write_line(f"{machine(options.device)}; size {options.size}, device {options.device}")
    for name in options.names or NAMES:
        with tempfile.TemporaryDirectory(prefix="covergen-benchmark-") as folder:
            setting = Setting(size=options.size, device=options.device, folder=Path(folder))
            for result in results(name, setting, options.rounds):
                rows.append({"benchmark": name, **result.values})
                write_line("\n".join(["", *result.lines]))
    if options.json:
        header = {"machine": machine(options.device), "size": options.size}
        text = json.dumps({**header, "device": options.device, "rows": rows}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")


def results(name: str, setting: Setting, rounds: int | None) -> Iterator[Result]:
    """Measure the rows of a benchmark, and send it each result."""
    module = import_module(f"tests.benchmarks.{name}")
    rows: Generator[Row, Result | None] = getattr(module, name)(setting)
    result = None
    with suppress(StopIteration):
        while True:
            result = measure(rows.send(result), rounds)
            yield result


def write_line(text: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure covergen and the reference alternately in one run.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--size", choices=("starter", "sd15"), default="starter")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="number of rounds, in place of each row's own"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    options = parser.parse_args()
    if unknown := set(options.names).difference(NAMES):
        parser.error(f"unknown benchmark {unknown.pop()}; choose from {', '.join(NAMES)}")
    return options


if __name__ == "__main__":
    main()
