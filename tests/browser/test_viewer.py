"""The viewer: one album's candidates, settings and excerpt."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.preview import SEED, album, candidates, lay_out


def enlarge(page: Page, title: str) -> None:
    page.get_by_role("button", name=f"Cover of {title} by").click()
    expect(page.get_by_role("dialog", name=title)).to_be_visible()


def test_viewer_shows_details_settings_and_candidates_side_by_side(page: Page) -> None:
    enlarge(page, "Album 3")
    viewer = page.get_by_role("dialog")
    expect(viewer).to_contain_text("1981 · 3 tracks · 50:31")
    expect(viewer).to_contain_text("Music/3")
    assert viewer.locator("dt").all_text_contents() == ["cover's seed", "model", "steps"]
    assert viewer.locator("dd").all_text_contents() == [str(SEED), "starter", "25"]
    pictures = page.locator("#stage img")
    sources = pictures.evaluate_all("all => all.map(image => image.getAttribute('src'))")
    assert sources == ["./covers/3.png", "./covers/0.png", "./covers/1.png"]
    first, second = (pictures.nth(index).bounding_box() for index in (0, 1))
    assert first
    assert second
    assert first["y"] == second["y"]
    assert second["x"] >= first["x"] + first["width"]


def test_any_number_of_candidates_fits(open_page: Open, tmp_path: Path) -> None:
    counts = (1, 2, 4, 9, 12)
    albums = [album(count, candidates=candidates(0, count)) for count in counts]
    page = open_page(lay_out(tmp_path, albums), viewport={"width": 1200, "height": 800})
    enlarge(page, "Album 1")
    for count in counts:
        stage = page.locator("#stage").bounding_box()
        boxes = [each.bounding_box() for each in page.locator("#stage .candidate").all()]
        assert len(boxes) == count
        assert stage
        for box in filter(None, boxes[:9]):  # more need scrolling
            assert box["width"] == pytest.approx(box["height"])
            assert box["width"] > 200
            assert stage["x"] <= box["x"]
            assert box["x"] + box["width"] <= stage["x"] + stage["width"]
            assert stage["y"] <= box["y"]
            assert box["y"] + box["height"] <= stage["y"] + stage["height"]
        page.keyboard.press("ArrowRight")


def test_excerpt_plays_until_the_viewer_is_closed(page: Page) -> None:
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


def test_skipped_album_shows_the_reason(page: Page) -> None:
    page.get_by_role("group", name="Show").get_by_text("Skipped").click()
    page.get_by_role("button", name="Album 20: already has a cover").click()
    viewer = page.get_by_role("dialog", name="Album 20")
    expect(viewer).to_contain_text("already has a cover")
    expect(viewer.get_by_role("button", name="Reject")).to_be_hidden()


def test_viewer_moves_between_albums(page: Page) -> None:
    enlarge(page, "Album 0")
    expect(page.get_by_role("button", name="Previous album")).to_be_disabled()
    page.get_by_role("button", name="Next album").click()
    expect(page.get_by_role("dialog", name="Album 1")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="Album 2")).to_be_visible()
    expect(page.get_by_text("3 / 27")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("dialog", name="Album 1")).to_be_visible()
