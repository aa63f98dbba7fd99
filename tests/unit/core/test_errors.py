"""Errors cross process boundaries: those of decoders and of workers."""

import pickle
from pathlib import Path

import pytest

from covergen.core import errors
from covergen.core.reasons import Reason

HINT = "Try again."
FILE = Path("a.flac")
ERRORS = (
    errors.OptionError("steps", "must be positive.", hint=HINT),
    errors.SettingsError(Path("models.toml"), ["x.steps: missing", "y: unknown"], hint=HINT),
    errors.JournalError("It is damaged.", hint=HINT, passing=True),
    errors.DecodeError(FILE, "it is empty", reason=Reason.UNREADABLE, hint=HINT),
    errors.TagError(FILE, "it is damaged", hint=HINT),
    errors.WriteError(FILE, Reason.UNREADABLE, "it is read-only", hint=HINT),
    errors.Interrupted(),
    *(
        kind("It failed.", hint=HINT)
        for kind in (
            errors.UsageError,
            errors.ModelError,
            errors.ModelMissingError,
            errors.AdapterError,
            errors.ClusterError,
            errors.DependencyError,
            errors.BusyError,
            errors.DownloadError,
            errors.TrainingError,
        )
    ),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_pickling(error: errors.CovergenError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_every_error_is_tried() -> None:
    abstract = {errors.CovergenError, errors.ItemError}
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    tried = {type(error) for error in ERRORS}
    assert {kind for kind in kinds if issubclass(kind, errors.CovergenError)} - abstract == tried
