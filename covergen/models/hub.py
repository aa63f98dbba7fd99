"""Download files from the Hugging Face Hub and find them in its local cache.

huggingface_hub is imported late because it reads `HF_HUB_OFFLINE`, `HF_HOME` and `HF_ENDPOINT` on
import, and because commands that need no model should not wait for it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.atomic_write import write_whole
from covergen.core.errors import ModelError
from covergen.models.hub_errors import disk_full, hub_errors
from covergen.models.part_files import select

if TYPE_CHECKING:
    from covergen.models.part_files import Kind
    from covergen.models.sources import HubName


def cached_snapshot(name: HubName) -> Path | None:
    """Return a repository's folder in the Hub cache, complete or not, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for repo_id in (name.repo_id, *name.former_ids):
        try:
            folder = snapshot_download(
                repo_id,
                revision=name.revision,
                local_files_only=True,
                allow_patterns=[],  # only the folder; `select` checks its files
            )
        except (LocalEntryNotFoundError, HFValidationError):
            continue
        return Path(folder)
    return None


def download(
    name: HubName,
    kind: Kind,
    *,
    progress: bool,
    variant: str | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Download the files of a part that are not yet in the Hub cache.

    All files come from one commit, resolved at the start. `variant` is preferred among the weights.
    `check` is called with the folder once the JSON files are there and before the weights are
    downloaded; an exception from it aborts the download. `progress` shows bars on stderr if it is a
    terminal. Raises ModelError.
    """
    from huggingface_hub import HfApi, hf_hub_download

    with hub_errors(name), _hub_quiet(progress=progress):
        info = HfApi().model_info(name.repo_id, revision=name.revision, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        commit = str(info.sha)

        def read(file: str) -> bytes:
            return Path(hf_hub_download(name.repo_id, file, revision=commit)).read_bytes()

        selection = select(kind, sizes, read, variant=variant)
        if selection.fault:
            raise ModelError(
                f"{name.page} cannot be used as a {kind}: it {selection.fault}.",
                hint="Use another repository or a local folder.",
            )
        _check_space(name, commit, {file: sizes[file] for file in selection.files})
        configs = [file for file in selection.files if file.endswith(".json")]
        for file in configs:
            path = hf_hub_download(name.repo_id, file, revision=commit)
        if configs and check:
            check(Path(path.removesuffix(file)))
        for file in sorted(set(selection.files) - set(configs)):
            hf_hub_download(name.repo_id, file, revision=commit)
        _set_ref(name, commit)


def _set_ref(name: HubName, commit: str) -> None:
    """Point the revision to `commit` in the cache, once all of its files are there.

    Source: huggingface_hub's guide "Understand caching", section on refs.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    revision = name.revision or constants.DEFAULT_REVISION
    if revision != commit:
        folder = repo_folder_name(repo_id=name.repo_id, repo_type="model")
        path = Path(constants.HF_HUB_CACHE, folder, "refs", revision)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, commit.encode())


def _check_space(name: HubName, commit: str, sizes: Mapping[str, int]) -> None:
    from huggingface_hub import constants, try_to_load_from_cache

    needed_bytes = sum(
        size
        for file, size in sizes.items()
        if not isinstance(try_to_load_from_cache(name.repo_id, file, revision=commit), str)
    )
    cache = Path(constants.HF_HUB_CACHE)
    folder = next(f for f in (cache, *cache.parents) if f.exists())
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise disk_full(name, f"needs {needed_bytes / 1e9:.1f} GB, {free_bytes / 1e9:.1f} GB free")


@contextmanager
def _hub_quiet(*, progress: bool) -> Iterator[None]:
    """Silence the Hub client's warnings and, unless `progress`, its progress bars."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with nullcontext() if progress else disable_progress_bars():
            yield
    finally:
        log.setLevel(level)
