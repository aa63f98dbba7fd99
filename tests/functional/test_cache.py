"""`covergen cache`: what is kept is told, and goes when asked; no music depends on it."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from covergen.core.app_folders import cache_folder, state_folder
from covergen.journal.lock import library_lock
from covergen.training.data.latent_cache import LatentCache
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import CONTAINERS, Library


def shown(run: Run) -> dict[str, dict[str, Any]]:
    return {o["name"]: o for o in json_lines(run("cache", "--json")) if o["type"] == "store"}


@pytest.fixture
def used(painted_home: Library, run: Run) -> Library:
    """A library in which covergen has painted, with all that it keeps."""
    return painted_home


def age(database: str, table: str, days: int) -> None:
    """Let everything in a database be used so much longer ago."""
    with closing(sqlite3.connect(cache_folder() / database)) as rows, rows:
        rows.execute(f"UPDATE {table} SET used = used - ?", (days,))


def test_what_runs_left_is_shown_with_its_place_and_size(used: Library, run: Run) -> None:
    run("tag", "-m", "tiny", "-n", used.root / "Two Discs")
    stores = shown(run)
    assert stores["embeddings"]["entries"] >= len(CONTAINERS)
    assert stores["scans"]["entries"] == 5, "what was written is forgotten until it is scanned"
    assert stores["rates"]["entries"] == 1
    assert stores["journal"]["entries"] == len(CONTAINERS) + 5 + 2 + 4
    for name in ("embeddings", "scans", "rates"):
        path = Path(stores[name]["path"])
        files = path.parent.glob(f"{path.name}*")
        assert stores[name]["size_bytes"] == sum(file.stat().st_size for file in files)
    assert str(cache_folder() / "embeddings.sqlite") in run("cache").stdout


def test_nothing_is_made_by_looking(run: Run) -> None:
    assert all(store["entries"] == 0 for store in shown(run).values())
    assert not cache_folder().exists()
    assert not state_folder().exists()


def test_what_was_not_used_for_long_goes_and_what_was_stays(used: Library, run: Run) -> None:
    run("tag", "-m", "tiny", "-n", used.root / "Two Discs")
    all_heard = shown(run)["embeddings"]["entries"]
    run("cache", "prune")
    assert shown(run)["embeddings"]["entries"] == all_heard
    age("embeddings.sqlite", "embedding", 400)
    age("scan.sqlite", "seen", 20)
    (embeddings, _, scans) = json_lines(run("cache", "prune", "--json"))
    assert (embeddings["entries"], scans["entries"]) == (all_heard, 0)
    assert embeddings["freed_bytes"] > 2048 * all_heard
    run("cache", "prune", "scans", "--unused", 21)
    assert shown(run)["scans"]["entries"] == 5
    run("cache", "prune", "scans", "--unused", 20)
    assert shown(run)["scans"]["entries"] == 0


def test_latents_are_a_store_like_the_others(run: Run) -> None:
    with closing(LatentCache()) as store:
        store.put(b"old", b"views")
    age("latents.sqlite", "latent", 200)
    with closing(LatentCache()) as store:
        store.put(b"new", b"views")
    assert shown(run)["latents"]["entries"] == 2
    (latents,) = json_lines(run("cache", "prune", "latents", "--json"))
    assert latents["entries"] == 1
    with closing(LatentCache()) as store:
        assert (store.find(b"old"), store.find(b"new")) == (None, b"views")


def test_all_of_what_can_be_made_again_goes_and_the_rest_stays_unasked(
    used: Library, run: Run
) -> None:
    before = shown(run)
    run("cache", "prune", "--all")
    stores = shown(run)
    assert (stores["embeddings"]["entries"], stores["scans"]["entries"]) == (0, 0)
    assert stores["journal"] == before["journal"]
    assert stores["rates"]["entries"] == 1
    run("cache", "prune", "rates", "--all")
    assert shown(run)["rates"]["entries"] == 0


def test_the_journal_goes_only_by_name_and_its_history_stays(painted: Library, run: Run) -> None:
    run("strip", painted.root / "Sampler")
    run("strip", painted.root / "Two Editions")
    writes = shown(run)["journal"]["entries"]
    assert writes == 6
    run("cache", "prune", "journal")
    assert "pruned" in run("undo", "1", "--yes", expect=1).stdout
    run("undo", "--dry-run")
    run("cache", "prune", "journal", "--all", "--yes")
    assert shown(run)["journal"]["entries"] == writes
    assert "pruned" in run("undo", "--yes", expect=1).stdout


def test_damage_is_told_and_mended_by_the_next_run(used: Library, run: Run) -> None:
    for folder in (cache_folder(), state_folder()):
        for path in folder.glob("*.sqlite*"):
            path.write_bytes(b"no database" * 1000)
    stores = shown(run)
    for name in ("embeddings", "scans", "journal"):
        assert stores[name]["entries"] is None
        assert "damaged" in stores[name]["fault"]
        assert stores[name]["size_bytes"] >= 11000
    assert run("cache").stdout.count("damaged") == 3
    run("tag", "-m", "tiny", "-n", used.root / "Two Discs")
    assert shown(run)["scans"]["entries"] == 5
    assert "damaged" in run("cache", "prune", "journal", "--all", expect=1).stderr


def test_previews_go_by_age(run: Run) -> None:
    folder = state_folder() / "previews"
    folder.mkdir(parents=True)
    for age_days in (0, 40, 400):
        file = folder / str(age_days)
        file.write_bytes(b"x" * 1000)
        then = time.time() - age_days * 86_400 - 60
        os.utime(file, (then, then))
    assert shown(run)["previews"]["size_bytes"] == 3000
    (previews,) = json_lines(run("cache", "prune", "previews", "--json"))
    assert (previews["entries"], previews["freed_bytes"]) == (1, 1000)
    run("cache", "prune", "--all", "previews")
    assert shown(run)["previews"]["entries"] == 0


def test_what_a_run_may_need_stays_while_one_writes(painted: Library, run: Run) -> None:
    run("strip", painted.root / "Sampler")
    before = snapshot(state_folder())
    with library_lock("tag", (painted.root,)):
        for name in ("journal", "previews"):
            error = run("cache", "prune", "--all", "--yes", name, expect=1).stderr
            assert "Another covergen" in error
        assert {
            path: kept for path, kept in snapshot(state_folder()).items() if path in before
        } == before
        run("cache", "prune", "--all")
    run("cache", "prune", "--all", "--yes", "journal")


@pytest.mark.parametrize(
    "arguments", [("--all", "--unused", "3"), ("music",), ("journal", "--unused", "3")]
)
def test_wrong_use_is_told(arguments: tuple[str, ...], run: Run) -> None:
    assert run("cache", "prune", *arguments, expect=2).stderr
