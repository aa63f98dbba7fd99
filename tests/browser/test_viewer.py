"""One album, large: its candidates, settings and excerpt."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.preview import SEED, album, candidates, lay_out

pytestmark = pytest.mark.browser


def enlarge(page: Page, title: str) -> None:
    page.get_by_role("button", name=f"Cover of {title} by").click()
    expect(page.get_by_role("dialog", name=title)).to_be_visible()


def test_a_click_enlarges_with_the_settings(page: Page) -> None:
    enlarge(page, "Album 3")
    viewer = page.get_by_role("dialog")
    expect(viewer).to_contain_text("1981 · 3 tracks · 50:31")
    expect(viewer).to_contain_text("Music/3")
    assert viewer.locator("dt").all_text_contents() == ["cover's seed", "model", "steps"]
    assert viewer.locator("dd").all_text_contents() == [str(SEED), "starter", "25"]


def test_candidates_stand_side_by_side_at_their_full_size(page: Page) -> None:
    enlarge(page, "Album 3")
    pictures = page.locator("#stage img")
    sources = pictures.evaluate_all("all => all.map(image => image.getAttribute('src'))")
    assert sources == ["./covers/3.png", "./covers/0.png", "./covers/1.png"]
    first, second = (pictures.nth(place).bounding_box() for place in (0, 1))
    assert first
    assert second
    assert first["y"] == second["y"]
    assert second["x"] >= first["x"] + first["width"]


def test_however_many_candidates_fit(open_page: Open, tmp_path: Path) -> None:
    counts = (1, 2, 4, 9, 12)
    albums = [album(count, candidates=candidates(0, count)) for count in counts]
    page = open_page(lay_out(tmp_path, albums), viewport={"width": 1200, "height": 800})
    enlarge(page, "Album 1")
    for count in counts:
        stage = page.locator("#stage").bounding_box()
        boxes = [each.bounding_box() for each in page.locator("#stage .candidate").all()]
        assert len(boxes) == count
        assert stage
        for box in filter(None, boxes[:9]):  # the rest one scrolls to
            assert box["width"] == pytest.approx(box["height"])
            assert box["width"] > 200
            assert stage["x"] <= box["x"]
            assert box["x"] + box["width"] <= stage["x"] + stage["width"]
            assert stage["y"] <= box["y"]
            assert box["y"] + box["height"] <= stage["y"] + stage["height"]
        page.keyboard.press("ArrowRight")


def test_the_excerpt_plays_and_stops_when_the_viewer_closes(page: Page) -> None:
    enlarge(page, "Album 3")
    page.keyboard.press("p")
    audio = page.locator("audio")
    audio.evaluate(
        """audio => new Promise(resolve => {
          audio.ontimeupdate = () => audio.currentTime > 0.1 && resolve();
        })"""
    )
    assert audio.evaluate("audio => audio.duration") == pytest.approx(2, abs=0.1)
    page.keyboard.press("Escape")
    expect(audio).to_have_js_property("paused", True)


def test_without_an_excerpt_there_is_no_player(open_page: Open, tmp_path: Path) -> None:
    page = open_page(lay_out(tmp_path, [album(0, audio=None)]))
    enlarge(page, "Album 0")
    expect(page.locator("audio")).to_be_hidden()
    page.keyboard.press("p")


def test_an_album_that_was_left_alone_tells_why(page: Page) -> None:
    page.get_by_role("group", name="Show").get_by_text("Skipped").click()
    page.get_by_role("button", name="Album 20: already has a cover").click()
    viewer = page.get_by_role("dialog", name="Album 20")
    expect(viewer).to_contain_text("already has a cover")
    expect(viewer.get_by_role("button", name="Reject")).to_be_hidden()


def test_one_can_leaf_through_the_albums(page: Page) -> None:
    enlarge(page, "Album 0")
    expect(page.get_by_role("button", name="Previous album")).to_be_disabled()
    page.get_by_role("button", name="Next album").click()
    expect(page.get_by_role("dialog", name="Album 1")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="Album 2")).to_be_visible()
    expect(page.get_by_text("3 / 27")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("dialog", name="Album 1")).to_be_visible()


def test_a_click_between_its_parts_does_not_close_it(page: Page) -> None:
    enlarge(page, "Album 3")
    viewer = page.get_by_role("dialog")
    viewer.click(position={"x": 8, "y": 8})
    expect(viewer).to_be_visible()


def test_it_closes_and_leads_back(page: Page) -> None:
    for way in ("Escape", "the button", "beside it"):
        enlarge(page, "Album 3")
        if way == "Escape":
            page.keyboard.press("Escape")
        elif way == "the button":
            page.get_by_role("button", name="Close").click()
        else:
            page.mouse.click(5, 5)
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_role("button", name="Cover of Album 3 by")).to_be_focused()
