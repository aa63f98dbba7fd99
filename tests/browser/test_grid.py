"""Which albums the page shows, in what order, and the details of each."""

import random
import re
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.preview import ARTISTS, album, lay_out, library


def titles(page: Page) -> list[str]:
    return page.locator("#grid h2").all_text_contents()


def card(page: Page, title: str) -> Locator:
    return page.locator("#grid li").filter(has=page.get_by_role("heading", name=title, exact=True))


def show(page: Page, kind: str) -> None:
    page.get_by_role("group", name="Show").get_by_text(kind).click()


def test_card_shows_the_details_of_its_album(open_page: Open, tmp_path: Path) -> None:
    known = album(0, title="Vespertine", artist="Björk", date="2001-08-27", tracks=12)
    albums = [
        replace(known, seconds=3725.4),
        album(1, tracks=1, date="", seconds=65.0),
        album(2, tracks=3, date="ca. 1973", seconds=0.0),
        album(3),
        album(3, id="twin", folder="Elsewhere"),
    ]
    page = open_page(lay_out(tmp_path, albums))
    shown = card(page, "Vespertine")
    expect(shown).to_contain_text("Björk")
    expect(shown).to_contain_text("2001 · 12 tracks · 1:02:05")
    expect(shown.get_by_role("img", name="Cover of Vespertine by Björk")).to_be_visible()
    expect(card(page, "Album 1").locator(".facts")).to_have_text("1 track · 1:05")
    expect(card(page, "Album 2").locator(".facts")).to_have_text("1973 · 3 tracks")
    facts = page.locator("#grid .facts").all_text_contents()
    folders = [text.split(" · ")[0] for text in facts[3:]]
    assert folders == ["Music/3", "Elsewhere"], "albums with the same name show their folders"
    expect(page.get_by_role("status")).to_have_text("5 albums")


def test_painted_albums_are_shown_first_and_others_with_the_reason(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("27 of 33 albums")
    assert not {f"Album {number}" for number in range(20, 26)} & set(titles(page))
    pictures = page.locator("#grid img")
    pictures.evaluate_all("all => Promise.all(all.map(image => image.decode()))")
    assert set(pictures.evaluate_all("all => all.map(image => image.naturalWidth)")) == {128}
    show(page, "Skipped")
    assert titles(page) == [f"Album {number}" for number in range(20, 24)]
    expect(card(page, "Album 20")).to_contain_text("already has a cover")
    show(page, "Failed")
    assert titles(page) == ["Album 24", "Album 25"]
    expect(card(page, "Album 25")).to_contain_text("none of its tracks could be decoded")
    show(page, "All")
    assert titles(page) == [album.title for album in library()]


def test_search_finds_albums_with_every_word(page: Page) -> None:
    search = page.get_by_role("searchbox")
    for text, found in {
        "music/19": ["Album 19"],
        "BJORK 1995": ["Album 5"],  # without the accent, and the year
        "1967  земф": ["Album 1"],
        "album 7 miles": ["Album 2", "Album 7", "Album 17"],
        "björk miles": [],
    }.items():
        search.fill(text)
        assert titles(page) == found
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("status")).to_have_text("33 albums")
    expect(search).to_have_value("")


def test_albums_are_sorted_with_unknown_values_last(open_page: Open, tmp_path: Path) -> None:
    albums = [album(number) for number in range(20)] + [album(20, date="")]
    random.Random(5).shuffle(albums)
    page = open_page(lay_out(tmp_path, albums))
    expected = {
        "Library order": albums,
        "By artist": sorted(albums, key=lambda album: ARTISTS.index(album.artist)),
        "By album": [album(number) for number in range(21)],  # 9 before 10
        "By year": sorted(albums, key=lambda album: album.date or "unknown"),
        "By tracks": sorted(albums, key=lambda album: len(album.tracks)),
        "By duration": sorted(albums, key=lambda album: album.seconds),
    }
    for order, sorted_albums in expected.items():
        page.get_by_label("Sort by").select_option(order)
        assert titles(page) == [album.title for album in sorted_albums]


def test_only_visible_albums_of_thousands_have_cards(open_page: Open, tmp_path: Path) -> None:
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
