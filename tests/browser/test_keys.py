"""Everything can be done with the keyboard."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.preview import album, lay_out


def cover(page: Page, number: int) -> Locator:
    return page.get_by_role("button", name=f"Cover of Album {number} by")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_arrows_move_between_albums(open_page: Open, preview: Path) -> None:
    page = open_page(preview, viewport={"width": 1000, "height": 800})
    across = page.locator("#grid").evaluate(
        "grid => [...grid.children].filter(c => c.offsetTop === grid.children[0].offsetTop).length"
    )
    assert across == 5
    press(page, "ArrowRight")  # to the grid
    expect(cover(page, 0)).to_be_focused()
    press(page, "ArrowRight", "ArrowRight")
    expect(cover(page, 2)).to_be_focused()
    press(page, "ArrowDown")
    expect(cover(page, 7)).to_be_focused()
    press(page, "ArrowLeft", "ArrowUp")
    expect(cover(page, 1)).to_be_focused()
    press(page, "ArrowUp")
    expect(cover(page, 1)).to_be_focused()


def test_focused_album_is_always_visible(open_page: Open, tmp_path: Path) -> None:
    page = open_page(lay_out(tmp_path, [album(number) for number in range(300)]))
    press(page, "ArrowDown", *["ArrowDown"] * 20)
    focused = page.locator(":focus")
    expect(focused).to_be_in_viewport(ratio=1)
    assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    box, bar = focused.bounding_box(), page.locator("footer").bounding_box()
    assert box
    assert bar
    assert box["y"] + box["height"] < bar["y"]
    page.evaluate("scrollTo(0, 0)")  # away from the focused card, which is removed
    press(page, "ArrowDown")
    expect(page.locator(":focus")).to_be_in_viewport(ratio=1)


def test_enter_enlarges_and_escape_returns(page: Page) -> None:
    press(page, "ArrowRight", "ArrowRight", "Enter")
    expect(page.get_by_role("dialog", name="Album 1")).to_be_visible()
    press(page, "ArrowRight", "Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(cover(page, 2)).to_be_focused()


def test_keys_decide_and_undo(page: Page) -> None:
    mark = page.locator("#grid .mark").first
    for key in ("ArrowRight", "Enter"):  # in the grid, then in the viewer
        press(page, key)
        for decision, text in {"1": "✓ 1", "3": "✓ 3", "x": "Rejected", "r": "Try again"}.items():
            press(page, decision)
            expect(mark).to_have_text(text)
            press(page, decision)
            expect(mark).to_have_text("")


def test_slash_searches_and_s_saves(page: Page) -> None:
    with page.expect_download() as download:
        press(page, "s")
    assert download.value.suggested_filename == "choices.json"
    press(page, "ArrowRight", "/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("sigur x r 1")
    expect(search).to_have_value("sigur x r 1")
    search.fill("music/5")
    press(page, "Enter", "x")
    expect(page.locator("#grid .mark")).to_have_text(["Rejected"])
