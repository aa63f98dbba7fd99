"""What a job tells its caller while it works; `cli` turns these into bars, lines or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from covergen.core.reasons import Reason
from covergen.core.types import Action, AlbumPlan, Outcome, Provenance, Status

__all__ = [
    "AlbumDone",
    "Emit",
    "Event",
    "FileFailed",
    "ModelLoading",
    "PlanTotals",
    "Tally",
    "TrackHeard",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailed:
    """A file that belongs to no album, since it could not be read."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoading:
    """The weights of a model are about to be loaded."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackHeard:
    """A track was embedded, or failed to be."""

    plan: AlbumPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumDone:
    """An album came to its end. `reason` is the plan's, or why the plan failed."""

    plan: AlbumPlan
    reason: Reason
    outcomes: tuple[Outcome, ...] = ()
    provenance: Provenance | None = None

    @property
    def failed(self) -> bool:
        """Whether any of its files failed, or all of it."""
        return self.reason is Reason.NOTHING_HEARD or any(
            outcome.status is Status.FAILED for outcome in self.outcomes
        )


Event = FileFailed | ModelLoading | TrackHeard | AlbumDone
Emit = Callable[[Event], None]


@dataclass(slots=True)
class PlanTotals:
    """What a plan adds up to, in constant memory."""

    albums: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    tracks: Counter[Action] = field(default_factory=Counter)
    targets: Counter[Action] = field(default_factory=Counter)
    failed: Counter[Reason] = field(default_factory=Counter)

    def add(self, item: AlbumPlan | Outcome) -> None:
        """Count an album, or a file that could not be read."""
        if isinstance(item, Outcome):
            self.failed[item.reason] += 1
            return
        self.albums[item.action, item.reason] += 1
        self.tracks[item.action] += len(item.album.tracks)
        self.targets[item.action] += len(item.targets)

    def albums_to(self, action: Action) -> int:
        """How many albums the plan treats so."""
        return sum(count for (kind, _), count in self.albums.items() if kind is action)

    @property
    def has_work(self) -> bool:
        """Whether the plan would write anything."""
        return any(action is not Action.SKIP for action, _ in self.albums)


@dataclass(slots=True)
class Tally:
    """What a run adds up to: the events counted, in constant memory."""

    albums: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    files: Counter[tuple[Status, Reason]] = field(default_factory=Counter)
    albums_failed: int = 0

    def add(self, event: Event) -> None:
        """Count an event."""
        match event:
            case FileFailed(outcome=outcome):
                self.files[outcome.status, outcome.reason] += 1
            case AlbumDone(plan=plan, reason=reason, outcomes=outcomes):
                self.albums[plan.action, reason] += 1
                self.albums_failed += event.failed
                for outcome in outcomes:
                    self.files[outcome.status, outcome.reason] += 1

    def files_with(self, status: Status) -> int:
        """How many files came out so."""
        return sum(count for (kind, _), count in self.files.items() if kind is status)

    @property
    def failed(self) -> bool:
        """Whether anything at all failed."""
        return bool(self.albums_failed or self.files_with(Status.FAILED))
