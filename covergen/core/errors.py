"""The exceptions that covergen raises deliberately.

CovergenError
├── UsageError            invalid option, path or settings file; exit code 2
│   ├── OptionError           the value of an option does not fit
│   └── SettingsError         a .toml file in the config folder, with all its problems at once
├── ModelError            the model cannot be used; exit code 1
│   ├── ModelMissingError     its files are not on this machine
│   └── AdapterError          the file is not an adapter, or does not fit the base
├── ClusterError          a Ray cluster cannot be used; exit code 1
├── DependencyError       a package is missing, outdated or broken; exit code 1
├── JournalError          the journal cannot be read or written; exit code 1
├── BusyError             another covergen process is writing to the same place; exit code 1
├── DownloadError         a download failed; exit code 1
├── ItemError             one file failed: becomes an Outcome, and the run continues
│   ├── DecodeError           the audio cannot be decoded
│   ├── TagError              the tags or pictures cannot be parsed
│   └── WriteError            the file cannot be written; the original is untouched
├── TrainingError         training cannot start or continue; exit code 1
└── Interrupted           the user asked to stop

Any other exception is a bug and stops the run with a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from covergen.core.reasons import Reason


class CovergenError(Exception):
    """Base class: `message` states what happened, `hint` what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the arguments of the constructor, which differ between classes."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class UsageError(CovergenError):
    """An invalid option or path."""


class OptionError(UsageError):
    """A value that does not fit: `problem` continues a sentence that begins with the option.

    `option` is its name in Python, such as "batch_size"; the command line shows its flag instead.
    """

    def __init__(self, option: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{option} {problem}", hint=hint)
        self.option = option


class SettingsError(UsageError):
    """An invalid settings file; `problems` has one line per problem, starting with its key."""

    def __init__(self, path: Path, problems: Sequence[str], *, hint: str = "") -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{path}:", *(f"  {p}" for p in problems)]), hint=hint)


class ModelError(CovergenError):
    """A model that cannot be used."""


class ModelMissingError(ModelError):
    """A model whose files are not on this machine."""


class AdapterError(ModelError):
    """A file that is not an adapter, or does not fit the base."""


class ClusterError(CovergenError):
    """A Ray cluster that cannot be reached, or whose workers keep ending."""


class DependencyError(CovergenError):
    """A Python package that is missing, has an unsupported version or cannot be imported."""


class JournalError(CovergenError):
    """A journal that is damaged, inaccessible or of another version; music is not affected.

    `passing`: it may be usable at another try, as after an I/O error or while it is locked.
    """

    def __init__(self, message: str, *, hint: str = "", passing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing


class BusyError(CovergenError):
    """Another covergen process is writing to the same place."""


class DownloadError(CovergenError):
    """A server that cannot be reached or refuses a request."""


class ItemError(CovergenError):
    """The failure of one file, `path`; `message` does not repeat its name."""

    def __init__(self, path: Path, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {super().__str__()}"


class DecodeError(ItemError):
    """Audio that cannot be decoded: corrupt, empty, or in an unknown codec."""

    DAMAGED = "try playing it: if no player can, restore it from a backup or encode it again"

    def __init__(
        self, path: Path, message: str, *, reason: Reason = Reason.UNDECODABLE, hint: str = ""
    ) -> None:
        super().__init__(path, reason, message, hint=hint)


class TagError(ItemError):
    """Tags or pictures that cannot be parsed."""

    def __init__(
        self, path: Path, message: str, *, reason: Reason = Reason.UNREADABLE, hint: str = ""
    ) -> None:
        super().__init__(path, reason, message, hint=hint)


class WriteError(ItemError):
    """A file that could not be written and is unchanged."""


class TrainingError(CovergenError):
    """Training that cannot start or continue; saved checkpoints are kept."""


class Interrupted(CovergenError):  # noqa: N818 - not an error: the user asked for it
    """The user asked to stop."""

    def __init__(self) -> None:
        super().__init__("interrupted")
