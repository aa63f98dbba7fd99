"""The one place where errors of the Hugging Face Hub become covergen's own."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from covergen.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.models.sources import HubName

__all__ = ["disk_full", "hub_errors"]


@contextmanager
def hub_errors(name: HubName) -> Iterator[None]:
    """Turn what huggingface_hub, and httpx2 and hf_xet below it, may raise into ModelError."""
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
                f"{name} is not fetched: HF_HUB_OFFLINE keeps this machine off the Hub.",
                hint="Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE), and pull again.",
            )
        case hub.GatedRepoError():
            return ModelError(
                f"{name.page} is only given to those who accepted its terms.",
                hint="Accept them on that page, run `hf auth login`, and pull again.",
            )
        case hub.RepositoryNotFoundError():
            return ModelError(
                f"There is no {name.page}, or it is private.",
                hint="Check the name; for a private repository run `hf auth login` first.",
            )
        case hub.RevisionNotFoundError():
            return ModelError(
                f"{name.page} has no revision {name.revision!r}.",
                hint="Name a branch, a tag or a commit of it.",
            )
        case hub.HFValidationError():
            return ModelError(
                f"{name} is no name that the Hub allows.",
                hint="A name is owner/name, of letters, digits, -, _ and single dots.",
            )
        case hub.HfHubHTTPError(response=response):
            return ModelError(
                f"{constants.ENDPOINT} answered with {response.status_code}"
                f" {response.reason_phrase} to the request for {name}.",
                hint="Pull again later: what has arrived is kept.",
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
                hint="Set HF_HOME to a folder that can be written to, and pull again.",
            )
    return ModelError(  # hf_xet raises RuntimeError for whatever goes wrong in it
        f"The transfer of {name} failed: {error}.",
        hint="Pull again, if need be with HF_HUB_DISABLE_XET=1 set: what has arrived is kept.",
    )


def _unreachable(cause: BaseException) -> ModelError:
    from huggingface_hub import constants

    return ModelError(
        f"{constants.ENDPOINT} cannot be reached: {cause}.",
        hint="Check the network (HTTPS_PROXY for a proxy, HF_ENDPOINT for a mirror), and pull"
        " again: what has arrived is kept.",
    )


def disk_full(name: HubName, details: str) -> ModelError:
    """The error for a cache that has no room for a repository."""
    from huggingface_hub import constants

    return ModelError(
        f"No space for {name} in {constants.HF_HUB_CACHE}: {details}.",
        hint="Make room, or set HF_HOME to a folder on another disk, and pull again.",
    )
