"""A training's events to the terminal, a pipe or JSON while it goes on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from covergen.cli.output import jsonl
from covergen.cli.output import text as lines
from covergen.cli.output.bars import aside, bar
from covergen.jobs.finetune.examples import PairHeard
from covergen.pipeline.events import GpuUnused
from covergen.training.events import (
    LOSSES_TOGETHER,
    CheckpointDamaged,
    PairLeftOut,
    PictureEncoded,
    Saved,
    StepDone,
    TrainingBegun,
    Validated,
)
from covergen.training.log import event_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Never, Self

    from tqdm import tqdm

    from covergen.training.events import Event

__all__ = ["FinetuneRenderer", "held_back", "left_out_line"]


def left_out_line(name: str, reason: str) -> str:
    """A pair, or a file, that is not trained on, and why."""
    word = click.style(f"{'left out':<10}", fg="yellow")
    return f"{word}{lines.shown(name)}: {lines.shown(reason)}"


def held_back(pairs: int, share: float) -> str:
    """How many pairs are validated on, and why none are where a share was to be."""
    if pairs or not share:
        return f"{pairs:,} held back"
    return f"none held back: too few albums for --validation {share:g}"


@dataclass(slots=True, kw_only=True)
class FinetuneRenderer:
    """Shows a training: results on stdout, bars and messages on stderr.

    `resume` and `validation` are as they were asked for.
    """

    as_json: bool
    quiet: bool
    resume: bool
    validation: float
    _bars: dict[str, tqdm[Never]] = field(default_factory=dict)
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=LOSSES_TOGETHER))
    _held_back: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for shown in self._bars.values():
            shown.close()

    def __call__(self, event: Event | PairHeard | GpuUnused) -> None:
        """Show an event."""
        match event:
            case GpuUnused(why=why):
                click.echo(f"Note: the GPU is not used: {why}", err=True)
                return
            case PairHeard(done=done, pairs=total):
                self._advance("heard  ", "sound", done, total)
                return
            case PictureEncoded(done=done, pictures=total):
                self._advance("encoded", "picture", done, total)
                return
            case TrainingBegun():
                self._begin(event)
            case StepDone():
                self._step(event)
        if self.as_json:
            value = event_object(event)
            self._print(jsonl.dumps(value.pop("type"), value))
        else:
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case PairLeftOut(stem=stem, reason=reason):
                self._print(left_out_line(stem, reason))
            case CheckpointDamaged(path=path, reason=reason):
                word = click.style(f"{'damaged':<10}", fg="red")
                self._print(f"{word}{lines.shown(path)}: {lines.shown(reason)}")
            case Validated(loss=loss):
                self._held_back = f", held back {loss:.4f}"
            case Saved(step=step, path=path) if not self.quiet:
                word = click.style(f"{'saved':<10}", fg="green")
                self._print(f"{word}{lines.shown(path)}: step {step:,}{self._loss()}")

    def _begin(self, event: TrainingBegun) -> None:
        for shown in self._bars.values():
            shown.close()
        if not self.quiet:
            for line in self._begun(event):
                click.echo(line, err=True)
        trained = bar("trained", "step", total=event.steps, hidden=self.quiet)
        trained.initial = trained.n = event.step  # so that the rate is of the steps made now
        self._bars = {"trained": trained}

    def _begun(self, event: TrainingBegun) -> Iterator[str]:
        if event.step == event.steps:
            yield f"It is finished already, after {lines.counted(event.steps, 'step')}."
            yield "To train longer, train anew into another folder: more --epochs or --max-steps."
            return
        pairs = lines.counted(event.pairs, "pair")
        held = held_back(event.validation_pairs, self.validation)
        yield f"Training on {pairs}, {held}. {event.device}, {event.precision}."
        if event.step:
            yield f"Going on from step {event.step:,} of {event.steps:,}."
        elif self.resume:
            yield "There is no checkpoint to go on from: it begins anew."

    def _step(self, event: StepDone) -> None:
        self._losses.append(event.loss)
        trained = self._bars["trained"]
        trained.set_postfix_str(f"rate {event.rate:.1e}{self._loss()}", refresh=False)
        trained.update()

    def _loss(self) -> str:
        losses = self._losses
        return f", loss {sum(losses) / len(losses):.4f}{self._held_back}" if losses else ""

    def _advance(self, name: str, noun: str, done: int, total: int) -> None:
        if name not in self._bars:
            self._bars[name] = bar(name, noun, total=total, hidden=self.quiet)
        self._bars[name].update(done - self._bars[name].n)

    def _print(self, line: str) -> None:
        with aside():
            click.echo(line)
