"""Event recording: to the caller, to the log, and to TensorBoard if it is installed."""

from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.atomic_write import write_whole
from covergen.training.events import Emit, Event, PictureEncoded, StepDone, Validated
from covergen.training.report.log import log_line, read_log

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Record:
    """Records events and passes them on to `emit`, in the first process only.

    The log in `output` is cut after `step`, since later steps are repeated; at step 0 it starts
    empty. Raises OSError.
    """

    def __init__(self, output: Path, step: int, emit: Emit, *, first_process: bool) -> None:
        self._silent = not first_process
        if self._silent:
            return
        self._emit = emit
        path = output / "log.jsonl"
        logged = read_log(path) if step else []
        kept = [event for event in logged if getattr(event, "step", 0) <= step]
        write_whole(path, "".join(map(log_line, kept)).encode())
        self._log = path.open("a", encoding="utf-8", buffering=1)
        self._board = _open_board(output / "tensorboard", step)

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if self._silent:
            return
        if not isinstance(event, PictureEncoded):
            self._log.write(log_line(event))
        if self._board is not None:
            match event:
                case StepDone():
                    self._board.add_scalar("loss", event.loss, event.step)
                    self._board.add_scalar("learning rate", event.rate, event.step)
                case Validated():
                    self._board.add_scalar("validation loss", event.loss, event.step)
        self._emit(event)

    def close(self) -> None:
        """Flush and close the log."""
        if self._silent:
            return
        self._log.close()
        if self._board is not None:
            self._board.close()


def _open_board(folder: Path, step: int) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=step + 1)
