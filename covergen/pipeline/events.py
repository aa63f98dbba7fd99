"""Events that a job emits while it runs; `cli` turns them into progress bars, text or JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from covergen.core.album import Action, Album, AlbumPlan, Outcome, Status
from covergen.core.reasons import Reason

if TYPE_CHECKING:
    from covergen.core.cover import Provenance, Sampling


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
class AdapterMismatch:
    """The adapter was trained with another base or CLAP model, so its pictures will differ."""

    name: str
    part: Literal["base", "clap"]


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
class UnknownWords:
    """The model's text encoder does not know words of the styles."""

    model: str
    words: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilingFailed:
    """Compiled models failed on a device, so painting continues without; `why` is the reason."""

    device: str
    why: str


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
    | AdapterMismatch
    | DistilledBase
    | NegativeUnused
    | UnknownWords
    | CompilingFailed
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
