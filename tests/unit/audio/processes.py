"""The processes of a process, as Linux lists them."""

from pathlib import Path

__all__ = ["children"]


def children(process: int) -> set[int]:
    """The numbers of the processes that a process has started, and that have not ended.

    None where they are not listed.
    """
    listed = Path(f"/proc/{process}/task").glob("*/children")
    return {int(number) for file in listed for number in file.read_text().split()}
