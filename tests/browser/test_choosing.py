"""Choosing, rejecting and retrying on the page, and the choices.json it saves."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from covergen.preview.choices import read_choices
from tests.browser.conftest import Open
from tests.browser.preview import PREVIEW, SEED, album, candidates, lay_out, library

_NO_STORAGE = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('none') }})"


def saved(page: Page, folder: Path) -> dict[str, Any]:
    """The albums of the saved choices.json, which covergen's own reader must accept."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save choices").click()
    assert download.value.suggested_filename == "choices.json"
    path = folder / "choices.json"
    download.value.save_as(path)
    read_choices(
        path,
        preview=PREVIEW,
        seeds={album.id: [one.seed for one in album.candidates] for album in library()},
    )
    document = json.loads(path.read_bytes())
    assert document.keys() == {"format", "preview", "albums"}
    assert (document["format"], document["preview"]) == (1, PREVIEW)
    albums: dict[str, Any] = document["albums"]
    for decision in albums.values():
        assert decision.pop("seed") == str(SEED + 1 - decision.get("choice", 1))
    return albums


def enlarge(page: Page, title: str) -> None:
    page.get_by_role("button", name=f"Cover of {title} by").click()


def choose(page: Page, number: int, title: str) -> None:
    page.get_by_role("button", name=f"Candidate {number} of {title}", exact=True).click()


def test_decisions_are_saved_and_survive_a_reload(page: Page, tmp_path: Path) -> None:
    assert saved(page, tmp_path) == {}
    choose(page, 2, "Album 4")
    enlarge(page, "Album 7")
    viewer = page.get_by_role("dialog")
    viewer.get_by_role("button", name="Candidate 3 of Album 7").click()
    for button in ("Reject", "Try again", "Keep"):
        viewer.get_by_role("button", name="Next album").click()
        viewer.get_by_role("button", name=button).click()
    viewer.get_by_role("button", name="Close").click()
    enlarge(page, "__proto__")
    viewer.get_by_role("button", name="Reject").click()
    page.reload()
    assert saved(page, tmp_path) == {
        "id-4": {"choice": 2},
        "id-7": {"choice": 3},
        "id-8": {"reject": True},
        "id-9": {"retry": True},
        "id-10": {"choice": 1},
        "__proto__": {"reject": True},
    }


def test_decision_is_shown_and_can_be_undone(page: Page) -> None:
    cover = page.get_by_role("button", name="Cover of Album 0 by")
    second = page.get_by_role("button", name="Candidate 2 of Album 0", exact=True)
    second.click()
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(cover).to_contain_text("✓ 2")
    expect(cover.locator("img")).to_have_attribute("src", "./thumbnails/1.jpg")
    enlarge(page, "Album 0")
    expect(page.locator("dd").first).to_have_text(str(SEED - 1))
    expect(page.get_by_role("link", name="Full size")).to_have_attribute("href", "./covers/1.png")
    page.keyboard.press("Escape")
    second.click()
    expect(second).to_have_attribute("aria-pressed", "false")
    expect(cover).not_to_contain_text("✓")
    expect(cover.locator("img")).to_have_attribute("src", "./thumbnails/0.jpg")


def test_new_decision_replaces_the_old_one_and_is_counted(page: Page) -> None:
    for title in ("Album 1", "Album 2", "Album 3"):
        enlarge(page, title)
        page.keyboard.press("x")
        page.keyboard.press("Escape")
    enlarge(page, "Album 3")
    viewer = page.get_by_role("dialog")
    reject, retry = (viewer.get_by_role("button", name=name) for name in ("Reject", "Try again"))
    retry.click()
    expect(reject).to_have_attribute("aria-pressed", "false")
    expect(retry).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    kinds = page.get_by_role("group", name="Show")
    expect(kinds.get_by_text("Undecided")).to_have_text("Undecided 24")
    kinds.get_by_text("Rejected").click()
    assert page.locator("#grid h2").all_text_contents() == ["Album 1", "Album 2"]


def test_decision_on_repainted_covers_is_dropped(open_page: Open, tmp_path: Path) -> None:
    page = open_page(lay_out(tmp_path, [album(0), album(1)]))
    for title in ("Album 0", "Album 1"):
        choose(page, 2, title)
    lay_out(tmp_path, [album(0), album(1, candidates=candidates(1, seed=12))])
    page.reload()
    kinds = page.get_by_role("group", name="Show")
    expect(kinds.get_by_text("Chosen")).to_have_text("Chosen 1")
    assert saved(page, tmp_path) == {"id-0": {"choice": 2}}


def test_without_local_storage_unsaved_decisions_cause_a_warning(
    open_page: Open, preview: Path, tmp_path: Path
) -> None:
    page = open_page(preview, script=_NO_STORAGE)
    choose(page, 2, "Album 4")
    assert saved(page, tmp_path) == {"id-4": {"choice": 2}}
    choose(page, 3, "Album 4")
    with page.expect_event("dialog") as dialog:
        page.close(run_before_unload=True)
    assert dialog.value.type == "beforeunload"
    dialog.value.accept()
