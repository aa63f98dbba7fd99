"""What a job tells its caller while it works; `cli` turns these into bars, lines or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from covergen.core.picture import MOST_SHOWN_BYTES
from covergen.core.reasons import Reason
from covergen.core.types import Action, AlbumPlan, Outcome, Provenance, Status

__all__ = [
    "MOST_LISTED",
    "AlbumDone",
    "BaseChanged",
    "Checkpoint",
    "Emit",
    "Event",
    "FileFailed",
    "GpuUnused",
    "ModelLoading",
    "NotJournalled",
    "Painting",
    "PlanTotals",
    "Tally",
    "TrackHeard",
    "Waiting",
]


MOST_LISTED = 20
"""Albums that a question shows. To go ahead with more has to be typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailed:
    """A file that belongs to no album, since it could not be read, or is passed over."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoading:
    """The weights of a model are about to be loaded."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUnused:
    """The CPU computes although there is a GPU, and why."""

    why: str


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
class Painting:
    """Painting went on by this many albums: a fraction for each step of a batch.

    It is negative where a batch is begun anew, since it did not fit into memory.
    """

    albums: float


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

Event = (
    FileFailed
    | ModelLoading
    | GpuUnused
    | BaseChanged
    | NotJournalled
    | TrackHeard
    | Painting
    | Waiting
    | AlbumDone
)
Emit = Callable[[Event], None]
Checkpoint = Callable[[], None]
"""Raises Interrupted when the user asked to stop: called between items, batches and steps."""


@dataclass(slots=True)
class PlanTotals:
    """What a plan adds up to, in constant memory.

    `files` are those reported on their own: unreadable, or out of a run's reach; `tracks` are all
    others. `heard` is how many tracks would be embedded. `first` are the first MOST_LISTED albums
    that would be worked on. `bare` counts files that cannot hold a cover
    by their extensions. `small_covers` is how many targets get a small JPEG instead of a large
    cover.
    """

    albums: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    tracks: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    targets: int = 0
    heard: int = 0
    files: Counter[tuple[Status, Reason]] = field(default_factory=Counter)
    first: list[AlbumPlan] = field(default_factory=list)
    small_covers: int = 0
    bare: Counter[str] = field(default_factory=Counter)

    def add(self, item: AlbumPlan | Outcome) -> None:
        """Count an album, or a file."""
        if isinstance(item, Outcome):
            self.files[item.status, item.reason] += 1
            self.bare.update(_bare(item))
            return
        tracks = len(item.album.tracks)
        self.albums[item.action, item.reason] += 1
        self.tracks[item.action, item.reason] += tracks - len(item.hindered)
        self.targets += len(item.targets)
        if item.action is not Action.SKIP and len(self.first) < MOST_LISTED:
            self.first.append(item)
        self.heard += tracks if item.action is Action.PAINT else 0
        for outcome in item.hindered:
            self.add(outcome)
        self.small_covers += sum(track.container in MOST_SHOWN_BYTES for track in item.targets)

    @property
    def covers(self) -> int:
        """How many covers would be painted."""
        return sum(n for (action, _), n in self.albums.items() if action is Action.PAINT)

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
    """What a run adds up to, in constant memory: albums by result, files by status.

    `bare` counts files that cannot hold a cover by their extensions.
    """

    albums: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    files: Counter[tuple[Status, Reason]] = field(default_factory=Counter)
    bare: Counter[str] = field(default_factory=Counter)

    def add(self, event: Event) -> None:
        """Count an event."""
        match event:
            case FileFailed(outcome=outcome):
                self.files[outcome.status, outcome.reason] += 1
                self.bare.update(_bare(outcome))
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


def _bare(outcome: Outcome) -> Iterator[str]:
    if outcome.reason is Reason.BARE:
        yield outcome.path.suffix.lower()
