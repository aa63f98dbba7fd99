"""Plan a run: every album of a library, with its action and its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from covergen.core.album import Action, AlbumPlan, Outcome
from covergen.core.reasons import Reason
from covergen.library.scanning.scan import scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.events import CheckInterrupted
from covergen.pipeline.skip_rule import foreseen, plan_album, skipped

if TYPE_CHECKING:
    from covergen.pipeline.options import PlanOptions


def plan_library(
    options: PlanOptions, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield the plan of each album, in constant memory.

    An Outcome is a file that cannot be read, or a track of an album that cannot be written at all.
    """
    for item in _plans(options, scan_cache, check_interrupted):
        if isinstance(item, Outcome):
            yield item
        else:
            yield from item.hindered
            yield replace(item, hindered=())


def _plans(
    options: PlanOptions, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    found = scan(options.paths, options.scan, scan_cache, check_interrupted=check_interrupted)
    plans = (item if isinstance(item, Outcome) else plan_album(item, options) for item in found)
    return limited(plans, options.limit)


def limited(
    plans: Iterable[AlbumPlan | Outcome], limit: int | None
) -> Iterator[AlbumPlan | Outcome]:
    """Pass plans on, skipping all after the first `limit` that are not skipped anyway."""
    active = 0
    for plan in plans:
        if isinstance(plan, Outcome) or plan.action is Action.SKIP:
            yield plan
            continue
        active += 1
        yield plan if limit is None or active <= limit else skipped(plan, Reason.LIMIT)


def planned(
    options: PlanOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield the plan of a library, using the scan cache, without targets that cannot be written.

    An Outcome is a file that cannot be read, or a cover file that cannot be written.
    """
    with closing(ScanCache()) as scan_cache:
        for plan in _plans(options, scan_cache, check_interrupted):
            if isinstance(plan, Outcome):
                yield plan
            else:
                yield from foreseen(plan, options.write)
