"""Events to the terminal, a pipe or JSON while a job runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from covergen.cli.output import jsonl
from covergen.cli.output import text as lines
from covergen.cli.output.bars import aside, bar
from covergen.core.reasons import Reason
from covergen.core.types import Action, Status
from covergen.pipeline.events import (
    AlbumDone,
    BaseChanged,
    FileFailed,
    GpuUnused,
    ModelLoading,
    NotJournalled,
    Painting,
    Tally,
    TrackHeard,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Never, Self

    from tqdm import tqdm

    from covergen.core.types import Outcome
    from covergen.pipeline.events import Event

__all__ = ["Renderer", "file_line", "is_told"]

_COUNTED = (Reason.BARE, Reason.IGNORED, Reason.VIDEO)  # there may be thousands of these


def file_line(outcome: Outcome, *, as_json: bool) -> str:
    """A file that belongs to no album, as a line of text or of JSON."""
    if as_json:
        return jsonl.dumps("file", jsonl.file_object(outcome))
    return lines.outcome_line(outcome)


def is_told(outcome: Outcome, *, as_json: bool, verbose: bool) -> bool:
    """Whether a file that belongs to no album gets a line, rather than only being counted."""
    return as_json or verbose or outcome.reason not in _COUNTED


@dataclass(slots=True, kw_only=True)
class Renderer:
    """Shows a run: results on stdout, bars and messages on stderr.

    `tracks` and `albums` are how many will be heard and painted, None where that is not known.
    `writes` is how many albums will be written by a run that paints nothing.
    """

    as_json: bool
    quiet: bool
    verbose: bool
    tracks: int | None = None
    albums: int | None = None
    writes: int = 0
    tally: Tally = field(default_factory=Tally)
    _ticked: float = 0.0
    _ahead: float = 0.0  # albums that the bar counts as painted, and that are not done yet
    _heard: tqdm[Never] | None = None
    _painted: tqdm[Never] | None = None
    _written: tqdm[Never] | None = None

    def __enter__(self) -> Self:
        if self.writes:
            self._written = bar("written", "album", total=self.writes, hidden=self.quiet)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for shown in (self._written, self._painted, self._heard):
            if shown is not None:
                shown.close()

    def __call__(self, event: Event) -> None:
        """Count an event and show it."""
        self.tally.add(event)
        match event:
            case ModelLoading(name=name):
                self._begin(name)
            case GpuUnused(why=why):
                click.echo(f"Note: the GPU is not used: {why}", err=True)
            case BaseChanged(name=name):
                self._warn_of_base(name)
            case NotJournalled(why=why):
                self._warn(f"{lines.shown(why)} This run goes on without it, and cannot be undone.")
            case TrackHeard():
                if self._heard is not None:
                    self._heard.update()
            case Painting(albums=albums):
                self._ahead += albums
                if self._painted is not None:
                    self._painted.update(albums)
            case FileFailed(outcome=outcome):
                if is_told(outcome, as_json=self.as_json, verbose=self.verbose):
                    self._print(file_line(outcome, as_json=self.as_json))
            case AlbumDone():
                self._show_album(event)

    def tick(self) -> None:
        """Let the bars' clocks go on while nothing else happens."""
        now = time.monotonic()
        if now - self._ticked >= 1:
            self._ticked = now
            for shown in (self._heard, self._painted, self._written):
                if shown is not None:
                    shown.refresh()

    def _begin(self, model: str) -> None:
        if not self.quiet:
            click.echo(f"Loading the model {model}.", err=True)
        self._heard = bar("heard  ", "track", total=self.tracks, hidden=self.quiet)
        self._painted = bar("painted", "album", total=self.albums, hidden=self.quiet)

    def _warn_of_base(self, model: str) -> None:
        self._warn(
            f"The adapter of {model} was trained on other weights of its base than these, as after"
            " an update of covergen. Its covers may be odd until it is trained anew."
        )

    def _warn(self, text: str) -> None:
        with aside():
            click.echo(f"Note: {text}", err=True)

    def _show_album(self, done: AlbumDone) -> None:
        if self._painted is not None and done.plan.action is Action.PAINT:
            self._painted.update(1 - min(1.0, self._ahead))
            self._ahead = max(0.0, self._ahead - 1)
        if self._written is not None and done.plan.action is not Action.SKIP:
            self._written.update()
        if self.as_json:
            self._print(jsonl.dumps("album", jsonl.done_object(done)))
            return
        if done.failed or not self.quiet:
            self._print(lines.album_line(done))
        for outcome in done.outcomes:
            noted = outcome.status is Status.WRITTEN and outcome.message and not self.quiet
            if outcome.status is Status.FAILED or self.verbose or noted:
                self._print(f"  {lines.outcome_line(outcome)}")

    def _print(self, line: str) -> None:
        with aside():
            click.echo(line)
