"""Translate the exceptions of huggingface_hub into covergen's own."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from covergen.core.errors import ModelError

if TYPE_CHECKING:
    from covergen.models.sources import HubName


@contextmanager
def hub_errors(name: HubName) -> Iterator[None]:
    """Translate exceptions of huggingface_hub, httpx2 and hf_xet into ModelError."""
    import httpx2  # comes with huggingface_hub
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (OSError, RuntimeError, httpx2.HTTPError, HFValidationError) as error:
        raise _translated(error, name) from error


def _translated(error: Exception, name: HubName) -> ModelError:
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub import errors as hub

    match error:
        case hub.OfflineModeIsEnabled():
            return ModelError(
                f"{name} cannot be downloaded because HF_HUB_OFFLINE is set.",
                hint="Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE), then pull again.",
            )
        case hub.GatedRepoError():
            return ModelError(
                f"{name.page} requires you to accept its terms.",
                hint="Accept them on that page, run `hf auth login`, then pull again.",
            )
        case hub.RepositoryNotFoundError():
            return ModelError(
                f"{name.page} does not exist or is private.",
                hint="Check the name. For a private repository, run `hf auth login` first.",
            )
        case hub.RevisionNotFoundError():
            return ModelError(
                f"{name.page} has no revision {name.revision!r}.",
                hint="Use the name of a branch or tag, or a commit hash.",
            )
        case hub.HFValidationError():
            return ModelError(
                f"{name} is not a valid Hub name.",
                hint="Use owner/name with letters, digits, -, _ and single dots.",
            )
        case hub.HfHubHTTPError(response=response):
            return ModelError(
                f"{constants.ENDPOINT} responded with {response.status_code}"
                f" {response.reason_phrase} to the request for {name}.",
                hint="Pull again later to resume the download.",
            )
        case (
            httpx2.HTTPError() | hub.LocalEntryNotFoundError() | ConnectionError() | TimeoutError()
        ):
            return _unreachable(error.__cause__ or error)
        case OSError(errno=errno.ENOSPC):
            return disk_full(name, "the disk is full")
        case OSError():
            return ModelError(
                f"{name} cannot be stored in {constants.HF_HUB_CACHE}: {error}.",
                hint="Set HF_HOME to a writable folder, then pull again.",
            )
    return ModelError(  # hf_xet raises RuntimeError for all of its errors
        f"The download of {name} failed: {error}.",
        hint="Pull again to resume the download. If it keeps failing, set HF_HUB_DISABLE_XET=1.",
    )


def _unreachable(cause: BaseException) -> ModelError:
    from huggingface_hub import constants

    return ModelError(
        f"{constants.ENDPOINT} cannot be reached: {cause}.",
        hint="Check the network (HTTPS_PROXY for a proxy, HF_ENDPOINT for a mirror), then pull"
        " again to resume the download.",
    )


def disk_full(name: HubName, details: str) -> ModelError:
    """Return the error for a cache disk without enough space for a repository."""
    from huggingface_hub import constants

    return ModelError(
        f"Not enough space for {name} in {constants.HF_HUB_CACHE}: {details}.",
        hint="Free some space or set HF_HOME to a folder on another disk, then pull again.",
    )
