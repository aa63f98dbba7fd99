"""What a job tells its caller while it works; `cli` turns these into bars, lines or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from covergen.core.reasons import Reason
from covergen.core.types import Action, AlbumPlan, Outcome, Provenance, Status

__all__ = [
    "AlbumDone",
    "BaseChanged",
    "Checkpoint",
    "Emit",
    "Event",
    "FileFailed",
    "ModelLoading",
    "NotJournalled",
    "PlanTotals",
    "Tally",
    "TrackHeard",
    "Waiting",
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
class BaseChanged:
    """The adapter was trained on other weights of its base, and paints something else on these."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJournalled:
    """The run goes on without a journal that cannot be used, and cannot be undone."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackHeard:
    """A track was embedded, or failed to be."""

    plan: AlbumPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A server is given time before it is asked again, and why."""

    seconds: float
    why: str


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

    @property
    def result(self) -> str:
        """In a word: painted, embedded, filled, skipped, and partly or failed where it went ill."""
        if not self.failed:
            return _RESULTS[self.plan.action]
        written = any(outcome.status is not Status.FAILED for outcome in self.outcomes)
        return "partly" if written else "failed"


_RESULTS = {
    Action.PAINT: "painted",
    Action.WRITE: "written",
    Action.EMBED: "embedded",
    Action.FILL: "filled",
    Action.COLLECT: "collected",
    Action.STRIP: "stripped",
    Action.UNDO: "undone",
    Action.SKIP: "skipped",
}

Event = FileFailed | ModelLoading | BaseChanged | NotJournalled | TrackHeard | Waiting | AlbumDone
Emit = Callable[[Event], None]
Checkpoint = Callable[[], None]
"""Raises Interrupted when the user asked to stop: called between items, batches and steps."""


@dataclass(slots=True)
class PlanTotals:
    """What a plan adds up to, in constant memory.

    `files` are those that were told of on their own: unreadable, or out of a run's reach.
    """

    albums: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    tracks: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    targets: int = 0
    files: Counter[tuple[Status, Reason]] = field(default_factory=Counter)

    def add(self, item: AlbumPlan | Outcome) -> None:
        """Count an album, or a file."""
        if isinstance(item, Outcome):
            self.files[item.status, item.reason] += 1
            return
        self.albums[item.action, item.reason] += 1
        self.tracks[item.action, item.reason] += len(item.album.tracks)
        self.targets += len(item.targets)

    @property
    def covers(self) -> int:
        """How many covers would be painted."""
        return _painted(self.albums)

    @property
    def heard(self) -> int:
        """How many tracks would be heard."""
        return _painted(self.tracks)

    @property
    def is_empty(self) -> bool:
        """Whether there was no music at all."""
        return not self.albums and not self.files

    @property
    def failed(self) -> bool:
        """Whether any file would fail."""
        return any(status is Status.FAILED for status, _ in self.files)

    @property
    def worked_on(self) -> int:
        """How many albums would be worked on."""
        return sum(n for (action, _), n in self.albums.items() if action is not Action.SKIP)

    @property
    def has_work(self) -> bool:
        """Whether the plan would write anything."""
        return self.worked_on > 0


@dataclass(slots=True)
class Tally:
    """What a run adds up to, in constant memory: albums by result, files by status."""

    albums: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    files: Counter[tuple[Status, Reason]] = field(default_factory=Counter)

    def add(self, event: Event) -> None:
        """Count an event."""
        match event:
            case FileFailed(outcome=outcome):
                self.files[outcome.status, outcome.reason] += 1
            case AlbumDone(result=result, reason=reason, outcomes=outcomes):
                self.albums[result, reason] += 1
                for outcome in outcomes:
                    self.files[outcome.status, outcome.reason] += 1

    @property
    def failed(self) -> bool:
        """Whether anything at all failed."""
        return any(result in ("partly", "failed") for result, _ in self.albums) or any(
            status is Status.FAILED for status, _ in self.files
        )

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing at all, not even to pass over."""
        return not self.albums and not self.files

    def count(self, result: str) -> int:
        """How many albums had this result."""
        return sum(count for (kind, _), count in self.albums.items() if kind == result)


def _painted(counts: Counter[tuple[Action, Reason]]) -> int:
    return sum(count for (action, _), count in counts.items() if action is Action.PAINT)
