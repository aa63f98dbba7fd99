"""Events that a job emits while it runs; `cli` turns them into progress bars, text or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from covergen.core.reasons import Reason
from covergen.core.types import Action, Album, AlbumPlan, Outcome, Provenance, Sampling, Status

__all__ = [
    "MOST_LISTED",
    "AlbumDone",
    "BaseChanged",
    "CheckInterrupted",
    "DistilledBase",
    "Emit",
    "Event",
    "FileFailed",
    "GpuUnused",
    "ModelLoading",
    "NegativeUnused",
    "NotJournalled",
    "Painting",
    "PlanTotals",
    "Tally",
    "TrackEmbedded",
    "Untitled",
    "Waiting",
    "WorkerUnfit",
]


MOST_LISTED = 20
"""The number of albums that a confirmation lists; more have to be confirmed by typing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailed:
    """A file reported on its own: it could not be read, or is skipped."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoading:
    """The weights of a model are about to be loaded; `name` is "" for CLAP alone."""

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUnused:
    """The CPU is used although there is a GPU; `why` is the reason."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseChanged:
    """The adapter was trained on other base weights, so its pictures will differ."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilledBase:
    """The base was distilled for fewer steps and less guidance, so its pictures will be poor."""

    base: str
    sampling: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeUnused:
    """The negative prompt has no effect, because guidance is off."""

    guidance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJournalled:
    """The journal cannot be used, so the run continues without it and cannot be undone."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Untitled:
    """A cover has no title, because a letter of it is in no font."""

    album: Album


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackEmbedded:
    """A track was embedded, or could not be."""

    plan: AlbumPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """Painting advanced by this many albums: a fraction for each sampling step of a batch.

    Negative when a batch did not fit into memory and starts over.
    """

    albums: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The job waits before it retries a request to a server; `why` is the reason."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerUnfit:
    """A machine of a cluster cannot be used, while others work; `why` is the reason."""

    host: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumDone:
    """An album is finished. `reason` is the plan's, or why the plan failed."""

    plan: AlbumPlan
    reason: Reason
    outcomes: tuple[Outcome, ...] = ()
    provenance: Provenance | None = None

    @property
    def failed(self) -> bool:
        """Whether any of its files failed, or the album as a whole."""
        return self.reason is Reason.NOTHING_HEARD or any(
            outcome.status is Status.FAILED for outcome in self.outcomes
        )

    @property
    def result(self) -> str:
        """The result in a word: painted, embedded, skipped, …, or partly or failed on failure."""
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
    | DistilledBase
    | NegativeUnused
    | NotJournalled
    | Untitled
    | TrackEmbedded
    | Painting
    | Waiting
    | WorkerUnfit
    | AlbumDone
)
Emit = Callable[[Event], None]
CheckInterrupted = Callable[[], None]
"""Raises Interrupted if the user asked to stop; called between items, batches and steps."""


@dataclass(slots=True)
class PlanTotals:
    """The totals of a plan, in constant memory.

    `files` counts the files reported on their own, since they cannot be read or written; `tracks`
    counts all others. `tracks_to_embed` is the number of tracks to embed. `first` holds the first
    MOST_LISTED albums that would be changed. `bare` counts the files that cannot hold a cover, by
    extension. `small_covers` is the number of targets that get a small JPEG.
    """

    albums: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    tracks: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    targets: int = 0
    tracks_to_embed: int = 0
    files: Counter[tuple[Status, Reason]] = field(default_factory=Counter)
    first: list[AlbumPlan] = field(default_factory=list)
    small_covers: int = 0
    bare: Counter[str] = field(default_factory=Counter)

    def add(self, item: AlbumPlan | Outcome) -> None:
        """Count an album or a file."""
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
        self.tracks_to_embed += tracks if item.action is Action.PAINT else 0
        for outcome in item.hindered:
            self.add(outcome)
        from covergen.library.containers import most_shown_bytes  # imports mutagen

        self.small_covers += sum(
            most_shown_bytes(track.container) is not None for track in item.targets
        )

    @property
    def covers(self) -> int:
        """The number of covers to paint."""
        return sum(n for (action, _), n in self.albums.items() if action is Action.PAINT)

    @property
    def is_empty(self) -> bool:
        """Whether no music was found."""
        return not self.albums and not self.files

    @property
    def failed(self) -> bool:
        """Whether any file would fail."""
        return any(status is Status.FAILED for status, _ in self.files)

    @property
    def worked_on(self) -> int:
        """The number of albums that would not be skipped."""
        return sum(n for (action, _), n in self.albums.items() if action is not Action.SKIP)

    @property
    def has_work(self) -> bool:
        """Whether the plan would write anything."""
        return self.worked_on > 0


@dataclass(slots=True)
class Tally:
    """The totals of a run, in constant memory: albums by result, files by status.

    `bare` counts the files that cannot hold a cover, by extension.
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
        """Whether anything failed."""
        return any(result in ("partly", "failed") for result, _ in self.albums) or any(
            status is Status.FAILED for status, _ in self.files
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found, not even files to skip."""
        return not self.albums and not self.files

    def count(self, result: str) -> int:
        """Return the number of albums with this result."""
        return sum(count for (kind, _), count in self.albums.items() if kind == result)


def _bare(outcome: Outcome) -> Iterator[str]:
    if outcome.reason is Reason.BARE:
        yield outcome.path.suffix.lower()
