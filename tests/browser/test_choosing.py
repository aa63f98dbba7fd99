"""Choosing, rejecting, trying again; and the choices.json that comes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from covergen.preview.choices import read_choices
from tests.browser.conftest import Open
from tests.browser.preview import PREVIEW, SEED, album, candidates, lay_out, library

pytestmark = pytest.mark.browser

_FORGETFUL = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('none') }})"


def saved(page: Page, folder: Path) -> dict[str, Any]:
    """The albums of the choices.json that the page gives, after covergen's own reader took it."""
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


def test_what_was_clicked_is_what_is_saved(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Candidate 2 of Album 4", exact=True).click()
    enlarge(page, "Album 7")
    viewer = page.get_by_role("dialog")
    viewer.get_by_role("button", name="Candidate 3 of Album 7").click()
    viewer.get_by_role("button", name="Next album").click()
    viewer.get_by_role("button", name="Reject").click()
    viewer.get_by_role("button", name="Next album").click()
    viewer.get_by_role("button", name="Try again").click()
    viewer.get_by_role("button", name="Next album").click()
    viewer.get_by_role("button", name="Keep").click()
    viewer.get_by_role("button", name="Close").click()
    assert saved(page, tmp_path) == {
        "id-4": {"choice": 2},
        "id-7": {"choice": 3},
        "id-8": {"reject": True},
        "id-9": {"retry": True},
        "id-10": {"choice": 1},
    }


def test_nothing_decided_is_saved_as_nothing(page: Page, tmp_path: Path) -> None:
    assert saved(page, tmp_path) == {}


def test_ids_of_any_kind_are_saved(page: Page, tmp_path: Path) -> None:
    enlarge(page, "__proto__")
    page.get_by_role("button", name="Reject").click()
    page.keyboard.press("Escape")
    assert list(saved(page, tmp_path)) == ["__proto__"]


def test_a_card_shows_what_is_decided(page: Page) -> None:
    cover = page.get_by_role("button", name="Cover of Album 0 by")
    second = page.get_by_role("button", name="Candidate 2 of Album 0", exact=True)
    second.click()
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(cover).to_contain_text("✓ 2")
    expect(cover.locator("img")).to_have_attribute("src", "./thumbnails/1.jpg")
    second.click()
    expect(second).to_have_attribute("aria-pressed", "false")
    expect(cover).not_to_contain_text("✓")
    expect(cover.locator("img")).to_have_attribute("src", "./thumbnails/0.jpg")


def test_the_settings_are_those_of_the_chosen_candidate(page: Page) -> None:
    enlarge(page, "Album 0")
    page.get_by_role("dialog").get_by_role("button", name="Candidate 2 of Album 0").click()
    expect(page.locator("dd").first).to_have_text(str(SEED - 1))
    expect(page.get_by_role("link", name="Full size")).to_have_attribute("href", "./covers/1.png")


def test_a_later_decision_takes_the_place_of_an_earlier_one(page: Page, tmp_path: Path) -> None:
    enlarge(page, "Album 0")
    viewer = page.get_by_role("dialog")
    reject, retry = (viewer.get_by_role("button", name=name) for name in ("Reject", "Try again"))
    reject.click()
    retry.click()
    expect(reject).to_have_attribute("aria-pressed", "false")
    expect(retry).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    assert saved(page, tmp_path) == {"id-0": {"retry": True}}


def test_decisions_are_counted_and_can_be_looked_through(page: Page) -> None:
    for title in ("Album 1", "Album 2"):
        enlarge(page, title)
        page.keyboard.press("x")
        page.keyboard.press("Escape")
    kinds = page.get_by_role("group", name="Show")
    expect(kinds.get_by_text("Undecided")).to_have_text("Undecided 25")
    kinds.get_by_text("Rejected").click()
    assert page.locator("#grid h2").all_text_contents() == ["Album 1", "Album 2"]


def test_choices_outlive_the_page(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Candidate 3 of Album 4", exact=True).click()
    page.reload()
    assert saved(page, tmp_path) == {"id-4": {"choice": 3}}


def test_a_choice_among_covers_that_are_painted_again_is_forgotten(
    open_page: Open, tmp_path: Path
) -> None:
    before = [album(0), album(1)]
    page = open_page(lay_out(tmp_path, before))
    for number in (0, 1):
        page.get_by_role("button", name=f"Candidate 2 of Album {number}", exact=True).click()
    lay_out(tmp_path, [album(0), album(1, candidates=candidates(1, seed=12))])
    page.reload()
    kinds = page.get_by_role("group", name="Show")
    expect(kinds.get_by_text("Chosen")).to_have_text("Chosen 1")
    assert saved(page, tmp_path) == {"id-0": {"choice": 2}}


def test_a_browser_that_keeps_nothing_will_do(
    open_page: Open, preview: Path, tmp_path: Path
) -> None:
    page = open_page(preview, script=_FORGETFUL)
    page.get_by_role("button", name="Candidate 2 of Album 4", exact=True).click()
    assert saved(page, tmp_path) == {"id-4": {"choice": 2}}


def test_a_browser_that_keeps_nothing_warns_before_choices_are_lost(
    open_page: Open, preview: Path
) -> None:
    page = open_page(preview, script=_FORGETFUL)
    page.get_by_role("button", name="Candidate 2 of Album 4", exact=True).click()
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.accept()
