"""Show training events on the terminal, in a pipe, or as JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Never, Self

import click

from covergen.cli.output import jsonl, lines
from covergen.cli.output.bars import aside, bar
from covergen.jobs.finetune.examples import PairEmbedded
from covergen.pipeline.events import GpuUnused
from covergen.training.events import (
    LOSSES_TOGETHER,
    CheckpointDamaged,
    MicroBatchReduced,
    PairLeftOut,
    PictureEncoded,
    Saved,
    StepDone,
    TrainingBegun,
    Validated,
)
from covergen.training.report.log import event_object

if TYPE_CHECKING:
    from tqdm import tqdm

    from covergen.training.events import Event


def left_out_line(name: str, reason: str) -> str:
    """The line for a pair or file that is not used, with the reason."""
    word = click.style(f"{'left out':<10}", fg="yellow")
    return f"{word}{lines.shown(name)}: {lines.shown(reason)}"


def _in_parts(event: TrainingBegun | MicroBatchReduced) -> str:
    """How a step is made to fit in memory."""
    recomputed = " and gradient checkpointing" if event.gradient_checkpointing else ""
    return f", with {lines.counted(event.micro_batch, 'pair')} at a time{recomputed}"


def validation_text(pairs: int, share: float) -> str:
    """How many pairs are held out, or why there are none despite a share."""
    if pairs or not share:
        return f"{pairs:,} held out for validation"
    return f"no validation: too few albums for --validation {share:g}"


@dataclass(slots=True, kw_only=True)
class FinetuneRenderer:
    """Shows a training: results on stdout, progress bars and messages on stderr.

    `resume` and `validation` are the command's options.
    """

    as_json: bool
    quiet: bool
    resume: bool
    validation: float
    _bars: dict[str, tqdm[Never]] = field(default_factory=dict)
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=LOSSES_TOGETHER))
    _validation_loss: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for shown in self._bars.values():
            shown.close()

    def __call__(self, event: Event | PairEmbedded | GpuUnused) -> None:
        """Show an event."""
        match event:
            case GpuUnused(why=why):
                click.echo(f"Note: the GPU is not used: {why}", err=True)
                return
            case PairEmbedded(done=done, pairs=total):
                self._advance("embedded", "track", done, total)
                return
            case PictureEncoded(done=done, pictures=total):
                self._advance("encoded ", "picture", done, total)
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
                self._validation_loss = f", validation {loss:.4f}"
            case MicroBatchReduced() if not self.quiet:
                note = f"Out of memory: continuing{_in_parts(event)}."
                with aside():
                    click.echo(note, err=True)
            case Saved(step=step, path=path) if not self.quiet:
                word = click.style(f"{'saved':<10}", fg="green")
                self._print(f"{word}{lines.shown(path)}: step {step:,}{self._loss()}")

    def _begin(self, event: TrainingBegun) -> None:
        for shown in self._bars.values():
            shown.close()
        if not self.quiet:
            for line in self._start_lines(event):
                click.echo(line, err=True)
        trained = bar("trained", "step", total=event.steps, hidden=self.quiet)
        trained.initial = trained.n = event.step  # so that the rate only counts new steps
        self._bars = {"trained": trained}

    def _start_lines(self, event: TrainingBegun) -> Iterator[str]:
        if event.step == event.steps:
            yield f"Training already finished after {lines.counted(event.steps, 'step')}."
            yield "To train longer, use another folder with more --epochs or --max-steps."
            return
        pairs = lines.counted(event.pairs, "pair")
        validation = validation_text(event.validation_pairs, self.validation)
        parts = _in_parts(event) if event.gradient_checkpointing else ""
        yield f"Training on {pairs}, {validation}. {event.device}, {event.precision}{parts}."
        if event.step:
            yield f"Continuing from step {event.step:,} of {event.steps:,}."
        elif self.resume:
            yield "There is no checkpoint to resume from. Starting from the beginning."

    def _step(self, event: StepDone) -> None:
        self._losses.append(event.loss)
        trained = self._bars["trained"]
        trained.set_postfix_str(f"rate {event.rate:.1e}{self._loss()}", refresh=False)
        trained.update()

    def _loss(self) -> str:
        losses = self._losses
        return f", loss {sum(losses) / len(losses):.4f}{self._validation_loss}" if losses else ""

    def _advance(self, name: str, noun: str, done: int, total: int) -> None:
        if name not in self._bars:
            self._bars[name] = bar(name, noun, total=total, hidden=self.quiet)
        self._bars[name].update(done - self._bars[name].n)

    def _print(self, line: str) -> None:
        with aside():
            click.echo(line)
