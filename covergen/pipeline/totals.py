"""The totals of a plan and of a run, counted in constant memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from covergen.core.album import Action, AlbumPlan, Outcome, Status
from covergen.core.reasons import Reason
from covergen.pipeline.events import AlbumDone, Event, FileFailed

MOST_LISTED = 20
"""The number of albums that a confirmation lists; more have to be confirmed by typing."""


@dataclass(slots=True)
class PlanTotals:
    """The totals of a plan, in constant memory.

    `files` counts the files reported on their own, since they cannot be read or written. `tracks`
    counts the others: those of each album or, where covers are only taken back, those that change.
    `tracks_to_embed` is the number of tracks to embed. `first` holds the first MOST_LISTED albums
    that would be changed. `bare` counts the files that cannot hold a cover, by extension.
    `small_covers` is the number of targets that get a small JPEG. `growth` is what all targets with
    the same limit for pictures (None: without) grow by for each byte of a picture.
    """

    albums: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    tracks: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    targets: int = 0
    tracks_to_embed: int = 0
    files: Counter[tuple[Status, Reason]] = field(default_factory=Counter)
    first: list[AlbumPlan] = field(default_factory=list)
    small_covers: int = 0
    growth: dict[int | None, float] = field(default_factory=dict)
    bare: Counter[str] = field(default_factory=Counter)

    def add(self, item: AlbumPlan | Outcome) -> None:
        """Count an album or a file."""
        if isinstance(item, Outcome):
            self.files[item.status, item.reason] += 1
            self.bare.update(_bare(item))
            return
        tracks = len(item.album.tracks)
        self.albums[item.action, item.reason] += 1
        taken_back = item.action in (Action.STRIP, Action.UNDO)
        files = len(item.files) if taken_back else tracks - len(item.hindered)
        self.tracks[item.action, item.reason] += files
        self.targets += len(item.targets)
        if item.action is not Action.SKIP and len(self.first) < MOST_LISTED:
            self.first.append(item)
        self.tracks_to_embed += tracks if item.action is Action.PAINT else 0
        for outcome in item.hindered:
            self.add(outcome)
        from covergen.library.containers import growth, most_shown_bytes  # imports mutagen

        for track in item.targets:
            most = most_shown_bytes(track.container)
            self.growth[most] = self.growth.get(most, 0.0) + growth(track.container)
            self.small_covers += most is not None

    def added_bytes(self, picture_bytes: float) -> float:
        """Return what all targets grow by if each gets a picture of this size, or a smaller one."""
        return sum(
            growth * min(picture_bytes, most or picture_bytes)
            for most, growth in self.growth.items()
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
