"""Render the events of a job as text, JSON Lines and progress bars."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Never, Self

import click

from covergen.cli.output import jsonl, lines
from covergen.cli.output.bars import aside, bar
from covergen.cli.output.terminal import columns_of
from covergen.core.album import Action, Outcome, Status
from covergen.core.reasons import Reason
from covergen.models.presets import UNNAMED
from covergen.pipeline.events import (
    AdapterMismatch,
    AlbumDone,
    CompilingFailed,
    DistilledBase,
    Event,
    FileFailed,
    GpuUnused,
    ModelLoading,
    NegativeUnused,
    NotJournalled,
    Painting,
    TrackEmbedded,
    UnknownWords,
    Untitled,
    WorkerUnfit,
)
from covergen.pipeline.totals import Tally

if TYPE_CHECKING:
    from tqdm import tqdm


_ONLY_COUNTED = (Reason.BARE, Reason.IGNORED, Reason.VIDEO)  # there may be thousands of these


def file_line(outcome: Outcome, *, as_json: bool) -> str:
    """Format a file that belongs to no album, as text or JSON."""
    if as_json:
        return jsonl.dumps("file", jsonl.file_object(outcome))
    return lines.outcome_line(outcome)


def is_listed(outcome: Outcome, *, as_json: bool, verbose: bool) -> bool:
    """Return whether a file that belongs to no album gets a line, or is only counted."""
    return as_json or verbose or outcome.reason not in _ONLY_COUNTED


@dataclass(slots=True, kw_only=True)
class Renderer:
    """Renders a run: results on stdout, progress bars and messages on stderr.

    `noun` is what each result is for. `tracks` and `albums` are the numbers to embed and paint, or
    None if unknown. `writes` is the number of albums to write in a run that paints nothing.
    """

    as_json: bool
    quiet: bool
    verbose: bool
    noun: str = "album"
    tracks: int | None = None
    albums: int | None = None
    writes: int = 0
    tally: Tally = field(default_factory=Tally)
    _ticked: float = 0.0
    _in_progress: float = 0.0  # albums that the bar counts as painted but that are not done
    _untitled: set[str] = field(default_factory=set)
    _embedded: tqdm[Never] | None = None
    _painted: tqdm[Never] | None = None
    _written: tqdm[Never] | None = None

    def __enter__(self) -> Self:
        if self.writes:
            self._written = bar("written", "album", total=self.writes, hidden=self.quiet)
        return self

    def __exit__(self, *_: object) -> None:
        for progress in (self._written, self._painted, self._embedded):
            if progress is not None:
                progress.close()

    def __call__(self, event: Event) -> None:
        """Count an event and render it."""
        self.tally.add(event)
        match event:
            case ModelLoading(name=name):
                self._begin(name)
            case GpuUnused(why=why):
                click.echo(f"Note: the GPU is not used: {why}", err=True)
            case AdapterMismatch(name=name, part=part):
                trained_with = {"base": "base", "clap": "CLAP model"}[part]
                self._note(
                    f"The adapter of {name} was trained with another {trained_with}, for instance"
                    " that of an earlier version of covergen. Train it again if its covers look odd"
                    " or do not fit the music."
                )
            case DistilledBase(base=base, sampling=sampling):
                self._note(
                    f"{lines.shown(base)} is a distilled base, made for 1 to 4 steps without"
                    f" guidance: {lines.counted(sampling.steps, 'step')} with guidance"
                    f" {sampling.guidance:g} will spoil its covers. Use --steps 4 --guidance 0, or"
                    " what its model card recommends."
                )
            case NegativeUnused(guidance=guidance):
                self._note(
                    f"The negative prompt has no effect with guidance {guidance:g}: it needs"
                    " guidance above 1."
                )
            case UnknownWords(model=model, words=words):
                where = "" if model == UNNAMED else f": see `covergen models show {model}`"
                self._note(
                    f"The text encoder does not know {lines.shown(', '.join(words))}, so it paints"
                    f" anything for that. Use words that it knows{lines.shown(where)}."
                )
            case CompilingFailed(device=device, why=why):
                self._note(
                    f"The compiled models failed on {device} ({lines.shown(why).rstrip('.')});"
                    " painting continues uncompiled, which is slower."
                )
            case NotJournalled(why=why):
                self._note(f"{lines.shown(why)} This run is not recorded and cannot be undone.")
            case Untitled(album=album) if album.key not in self._untitled:  # once per preview
                self._untitled.add(album.key)
                self._note(
                    f"The cover of {lines.album_name(album)} has no title: no font on this machine"
                    " has all of its letters."
                )
            case WorkerUnfit(host=host, why=why):
                self._note(f"The machine {lines.shown(host)} is not used: {lines.shown(why)}")
            case TrackEmbedded():
                if self._embedded is not None:
                    self._embedded.update()
            case Painting(albums=albums):
                self._in_progress += albums
                if self._painted is not None:
                    self._painted.update(albums)
            case FileFailed(outcome=outcome):
                if is_listed(outcome, as_json=self.as_json, verbose=self.verbose):
                    self._print(file_line(outcome, as_json=self.as_json))
            case AlbumDone():
                self._show_album(event)

    def tick(self) -> None:
        """Update the elapsed times of the bars, at most once a second."""
        now = time.monotonic()
        if now - self._ticked >= 1:
            self._ticked = now
            for progress in (self._embedded, self._painted, self._written):
                if progress is not None:
                    progress.refresh()

    def _begin(self, model: str) -> None:
        if not self.quiet:
            click.echo(f"Loading {f'the model {model}' if model else 'CLAP'}.", err=True)
        self._embedded = bar("embedded", "track", total=self.tracks, hidden=self.quiet)
        self._painted = bar("painted", self.noun, total=self.albums, hidden=self.quiet)

    def _note(self, text: str) -> None:
        with aside():
            click.echo(f"Note: {text}", err=True)

    def _show_album(self, done: AlbumDone) -> None:
        if self._painted is not None and done.plan.action is Action.PAINT:
            self._painted.update(1 - min(1.0, self._in_progress))
            self._in_progress = max(0.0, self._in_progress - 1)
        if self._written is not None and done.plan.action is not Action.SKIP:
            self._written.update()
        if self.as_json:
            self._print(jsonl.dumps("album", jsonl.done_object(done)))
            return
        unlisted = self.quiet or (done.reason is Reason.LIMIT and not self.verbose)
        if done.failed or not unlisted:
            self._print(lines.album_line(done, columns_of(sys.stdout)))
        for outcome in done.outcomes:
            has_note = outcome.status is Status.WRITTEN and outcome.message and not self.quiet
            if outcome.status is Status.FAILED or self.verbose or has_note:
                self._print(f"  {lines.outcome_line(outcome)}")

    def _print(self, line: str) -> None:
        with aside():
            click.echo(line)
