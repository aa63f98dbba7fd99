"""What a run would do: every album of a library with its action and its reason."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from covergen.core.reasons import Reason
from covergen.core.types import Action, AlbumPlan, Outcome
from covergen.library.memory import ScanMemory
from covergen.library.plan import plan_album
from covergen.library.scan import ScanOptions, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["PlanOptions", "plan_library", "planned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Which albums are worked on. `limit`: at most so many, None for all."""

    paths: tuple[Path, ...]
    scan: ScanOptions = field(default_factory=ScanOptions)
    force: bool = False
    fill: bool = False
    limit: int | None = None


def plan_library(
    options: PlanOptions, memory: ScanMemory, checkpoint: Callable[[], None]
) -> Iterator[AlbumPlan | Outcome]:
    """Plan album by album, in constant memory. An Outcome is a file that could not be read."""
    acted = 0
    for item in scan(options.paths, options.scan, memory, checkpoint=checkpoint):
        if isinstance(item, Outcome):
            yield item
            continue
        plan = plan_album(item, force=options.force, fill=options.fill)
        if plan.action is not Action.SKIP:
            acted += 1
            if options.limit is not None and acted > options.limit:
                plan = replace(plan, action=Action.SKIP, reason=Reason.LIMIT, targets=())
        yield plan


@contextmanager
def planned(
    options: PlanOptions, checkpoint: Callable[[], None]
) -> Iterator[Iterator[AlbumPlan | Outcome]]:
    """`plan_library` with the memory of scans opened and closed around it."""
    with closing(ScanMemory()) as memory:
        yield plan_library(options, memory, checkpoint)
