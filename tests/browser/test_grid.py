"""Which albums the page shows, in what order, and what it tells of each."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.preview import ARTISTS, album, lay_out, library

pytestmark = pytest.mark.browser


def titles(page: Page) -> list[str]:
    return page.locator("#grid h2").all_text_contents()


def card(page: Page, title: str) -> Locator:
    return page.locator("#grid li").filter(has=page.get_by_role("heading", name=title, exact=True))


def show(page: Page, kind: str) -> None:
    page.get_by_role("group", name="Show").get_by_text(kind).click()


def test_a_card_tells_what_is_known_of_its_album(open_page: Open, tmp_path: Path) -> None:
    known = album(0, title="Vespertine", artist="Björk", date="2001-08-27", tracks=12)
    albums = [
        replace(known, duration_seconds=3725.4),
        album(1, tracks=1, date="", duration_seconds=65.0),
        album(2, tracks=3, date="ca. 1973", duration_seconds=0.0),
    ]
    page = open_page(lay_out(tmp_path, albums))
    shown = card(page, "Vespertine")
    expect(shown).to_contain_text("Björk")
    expect(shown).to_contain_text("2001 · 12 tracks · 1:02:05")
    expect(shown.get_by_role("img", name="Cover of Vespertine by Björk")).to_be_visible()
    expect(card(page, "Album 1").locator(".facts")).to_have_text("1 track · 1:05")
    expect(card(page, "Album 2").locator(".facts")).to_have_text("1973 · 3 tracks")
    expect(page.get_by_role("status")).to_have_text("3 albums")


def test_pictures_are_really_there(page: Page) -> None:
    pictures = page.locator("#grid img")
    pictures.evaluate_all("all => Promise.all(all.map(image => image.decode()))")
    widths = pictures.evaluate_all("all => all.map(image => image.naturalWidth)")
    assert set(widths) == {128}


def test_painted_albums_come_first_and_the_others_tell_why_not(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("27 of 33 albums")
    assert not {f"Album {number}" for number in range(20, 26)} & set(titles(page))
    show(page, "Skipped")
    assert titles(page) == [f"Album {number}" for number in range(20, 24)]
    expect(card(page, "Album 20")).to_contain_text("already has a cover")
    show(page, "Failed")
    assert titles(page) == ["Album 24", "Album 25"]
    expect(card(page, "Album 25")).to_contain_text("corrupt")
    show(page, "All")
    assert titles(page) == [album.title for album in library()]


def test_a_preview_without_paintings_shows_all(open_page: Open, tmp_path: Path) -> None:
    skipped = album(1, state="skipped", reason="already has a cover", candidates=())
    page = open_page(lay_out(tmp_path, [skipped]))
    assert titles(page) == ["Album 1"]


def test_an_empty_preview_says_so(open_page: Open, tmp_path: Path) -> None:
    page = open_page(lay_out(tmp_path, []))
    expect(page.get_by_text("No album matches.")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")


def test_search_looks_for_every_word(page: Page) -> None:
    search = page.get_by_role("searchbox")
    for text, found in {
        "music/19": ["Album 19"],
        "BJORK 1995": ["Album 5"],  # without its accent, and the year
        "1967  земф": ["Album 1"],
        "album 7 miles": ["Album 2", "Album 7", "Album 17"],
        "björk miles": [],
    }.items():
        search.fill(text)
        assert titles(page) == found


def test_a_search_in_vain_can_be_taken_back(page: Page) -> None:
    page.get_by_role("searchbox").fill("no such thing")
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("status")).to_have_text("33 albums")
    expect(page.get_by_role("searchbox")).to_have_value("")


def test_albums_are_sorted(open_page: Open, tmp_path: Path) -> None:
    albums = [album(number) for number in range(20)]
    random.Random(5).shuffle(albums)
    page = open_page(lay_out(tmp_path, albums))
    expected = {
        "Library order": albums,
        "By artist": sorted(albums, key=lambda album: ARTISTS.index(album.artist)),
        "By album": [album(number) for number in range(20)],  # 9 before 10
        "By year": sorted(albums, key=lambda album: album.date),
        "By tracks": sorted(albums, key=lambda album: album.tracks),
        "By duration": sorted(albums, key=lambda album: album.duration_seconds),
    }
    for order, sorted_albums in expected.items():
        page.get_by_label("Sort by").select_option(order)
        assert titles(page) == [album.title for album in sorted_albums]


def test_what_is_unknown_is_sorted_last(open_page: Open, tmp_path: Path) -> None:
    albums = [album(0, date=""), album(1, date="1990"), album(2, date="1980")]
    page = open_page(lay_out(tmp_path, albums))
    page.get_by_label("Sort by").select_option("By year")
    assert titles(page) == ["Album 2", "Album 1", "Album 0"]


def test_thousands_of_albums_cost_no_more_than_what_is_seen(
    open_page: Open, tmp_path: Path
) -> None:
    page = open_page(lay_out(tmp_path, [album(number) for number in range(5000)]))
    assert page.locator("*").count() < 2000
    expect(page.get_by_role("status")).to_have_text("5,000 albums")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(card(page, "Album 4999")).to_be_in_viewport()
    assert page.locator("*").count() < 2000
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)")
    seen = page.locator("#grid li").filter(visible=True)
    expect(seen.first).to_have_attribute("aria-posinset", re.compile(r"2\d{3}"))
    page.get_by_role("searchbox").fill("album 4321")
    expect(card(page, "Album 4321")).to_be_in_viewport()
    page.get_by_role("searchbox").fill("no such thing")
    expect(page.get_by_text("No album matches.")).to_be_in_viewport()


def test_rows_keep_their_place_while_one_scrolls(open_page: Open, tmp_path: Path) -> None:
    page = open_page(lay_out(tmp_path, [album(number) for number in range(400)]))
    height = page.evaluate("document.documentElement.scrollHeight")
    for place in (300, 2000, 9000, 2000):
        page.evaluate("place => scrollTo(0, place)", place)
        page.evaluate("new Promise(requestAnimationFrame)")
        assert page.evaluate("scrollY") == place
        assert page.evaluate("document.documentElement.scrollHeight") == pytest.approx(
            height, abs=1
        )


def test_albums_of_the_same_name_show_their_folders(open_page: Open, tmp_path: Path) -> None:
    twins = [album(0), album(0, id="twin", folder="Elsewhere"), album(1)]
    page = open_page(lay_out(tmp_path, twins))
    facts = page.locator("#grid .facts").all_text_contents()
    assert [text.split(" · ")[0] for text in facts] == ["Music/0", "Elsewhere", "1967"]
