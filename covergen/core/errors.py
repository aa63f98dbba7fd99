"""Every error that covergen raises on purpose.

CovergenError
├── UsageError            wrong use: an option, a path or a settings file; exit code 2
│   └── SettingsError         config.toml or models.toml, all its mistakes at once
├── ModelError            a model that cannot be used; exit code 1
│   ├── ModelMissingError     its files are not on this machine
│   └── AdapterError          the adapter does not fit the base, or is no adapter
├── DependencyError       a package that is missing, outdated or broken; exit code 1
├── JournalError          the journal cannot be read or written; exit code 1
├── BusyError             another covergen writes at the same place; exit code 1
├── DownloadError         a server that cannot be read; exit code 1
├── ItemError             one file's failure: becomes an Outcome, the run goes on
│   ├── DecodeError           the audio cannot be decoded
│   ├── TagError              the tags or pictures cannot be parsed
│   └── WriteError            the file cannot be written; the original is untouched
├── TrainingError         a training that cannot begin or go on; exit code 1
└── Interrupted           the user asked to stop

Anything else that is raised is a bug, and stops the run with a traceback.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from covergen.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "AdapterError",
    "BusyError",
    "CovergenError",
    "DecodeError",
    "DependencyError",
    "DownloadError",
    "Interrupted",
    "ItemError",
    "JournalError",
    "ModelError",
    "ModelMissingError",
    "SettingsError",
    "TagError",
    "TrainingError",
    "UsageError",
    "WriteError",
]


class CovergenError(Exception):
    """What happened, and, in `hint`, what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(CovergenError):
    """An option or a path that cannot work."""


class SettingsError(UsageError):
    """A settings file with mistakes; `problems` has one line for each, with its key."""

    def __init__(self, path: Path, problems: Sequence[str], *, hint: str = "") -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{path}:", *(f"  {p}" for p in problems)]), hint=hint)


class ModelError(CovergenError):
    """A model that cannot be used."""


class ModelMissingError(ModelError):
    """A model whose files are not on this machine."""


class AdapterError(ModelError):
    """A file that is no adapter, or one that does not fit the base."""


class DependencyError(CovergenError):
    """A Python package that is missing, has the wrong version or cannot be imported."""


class JournalError(CovergenError):
    """A journal that is damaged, of another version, or out of reach; no music depends on it."""


class BusyError(CovergenError):
    """Another process of covergen writes where this one wants to."""


class DownloadError(CovergenError):
    """A server that cannot be reached, or does not give what it was asked for."""


class ItemError(CovergenError):
    """The failure of one file.

    `message` says what happened without naming the file: `path` does.
    """

    def __init__(self, path: Path, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {super().__str__()}"


class DecodeError(ItemError):
    """Audio that cannot be decoded: corrupt, empty, or of no known codec."""

    DAMAGED = "try to play it: if no player can, restore it from a backup or encode it again"

    def __init__(
        self, path: Path, message: str, *, reason: Reason = Reason.UNDECODABLE, hint: str = ""
    ) -> None:
        super().__init__(path, reason, message, hint=hint)

    def __reduce__(self) -> tuple[partial[DecodeError], tuple[Path, str]]:
        """So that pickle keeps the reason and the hint."""
        return partial(DecodeError, reason=self.reason, hint=self.hint), (self.path, self.message)


class TagError(ItemError):
    """Tags or pictures that cannot be parsed."""

    def __init__(
        self, path: Path, message: str, *, reason: Reason = Reason.UNREADABLE, hint: str = ""
    ) -> None:
        super().__init__(path, reason, message, hint=hint)


class WriteError(ItemError):
    """A file that was not written, and is exactly as it was."""


class TrainingError(CovergenError):
    """A training that cannot begin or go on; what it had saved is still there."""


class Interrupted(CovergenError):  # noqa: N818 - not a fault: the user asked for it
    """The user asked to stop."""

    def __init__(self) -> None:
        super().__init__("interrupted")
