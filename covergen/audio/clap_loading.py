"""What loading both encoders of CLAP has in common: checks, and one translation of errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from covergen.core.errors import ModelError

_HINT = "The download may be incomplete: fetch the model again."
_SHOWN = 3  # of the problems with the weights


def check_weights(folder: Path, report: dict[str, Any], part: str, layers: str) -> None:
    """Raise ModelError unless the weights of a part of CLAP match config.json.

    `report` is the loading report of transformers; `layers` is the prefix of the part's layers, of
    which the weights must not have more than the config.
    """
    problems = [f"{key} is missing" for key in sorted(report["missing_keys"])]
    problems += [
        f"{key} has shape {tuple(found)}, expected {tuple(expected)}"
        for key, found, expected in sorted(report["mismatched_keys"])
    ]
    problems += [
        f"{key} is not expected"
        for key in sorted(report["unexpected_keys"])
        if key.startswith(layers)
    ]
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelError(
            f"The weights in {folder} do not match the CLAP {part} in its config.json:"
            f" {'; '.join(problems[:_SHOWN])}{more}.",
            hint=_HINT,
        )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide transformers' progress bars and reports: the other encoder is left out on purpose."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def model_errors(folder: Path) -> Iterator[None]:
    """Translate transformers' errors about a folder's contents to ModelError."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except (
        SafetensorError,
        StrictDataclassError,
        UnpicklingError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        ZeroDivisionError,
    ) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"The CLAP model in {folder} cannot be loaded: {first_line}", hint=_HINT
        ) from error
