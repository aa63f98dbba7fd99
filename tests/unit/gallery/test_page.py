"""The page as a file; tests/browser shows its behaviour in a browser."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from covergen.gallery.page import PageAlbum, PageCover, write_page


def album(
    title: str = "Title", *, file: str = "covers/a.png", audio: str | None = None
) -> PageAlbum:
    cover = PageCover(file=file, thumbnail="thumbnails/a.jpg", seed=2**63 - 1)
    return PageAlbum(
        id="id",
        title=title,
        artist=title,
        date="1999",
        folder=title,
        tracks=1,
        duration_seconds=1.0,
        state="painted",
        reason=title,
        candidates=(cover,),
        audio=audio,
    )


class Elements(HTMLParser):
    """The start tags, and the contents of scripts and the title."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.setdefault(self.tags[-1][0], []).append(data)

    def album(self) -> dict[str, Any]:
        """The first album in the page's data."""
        found: dict[str, Any] = json.loads(self.texts["script"][0])["albums"][0]
        return found


_HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "\u2028\u2029",
    "\ud800\x00\x1f",
    "$data ${policy} $$",
    "]]>",
]


@pytest.mark.parametrize("name", _HOSTILE)
def test_names_are_kept_and_add_no_elements(tmp_path: Path, name: str) -> None:
    plain = Elements(write_page(tmp_path, [album()], preview="p", title="t"))
    title = name.replace("\ud800", "")
    path = write_page(tmp_path, [album(name)], preview="p", title=title)
    page = Elements(path)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert [page.album()[key] for key in ("title", "artist", "folder", "reason")] == [name] * 4
    text = path.read_text(encoding="utf-8")
    data = text.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    assert data.isascii()
    assert "<" not in data


def test_page_refers_only_to_its_own_folder(tmp_path: Path) -> None:
    page = write_page(tmp_path, [album(audio="audio/a.mp3")], preview="p")
    for tag, attributes in Elements(page).tags:
        for name in ("src", "href", "action", "data", "srcset"):
            url = attributes.get(name) or ""
            assert not re.match(r"[a-z]+:|/", url), (tag, url)
    assert not re.search(r"url\(|@import|//[a-z]", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../a.png", "covers/../../a.png", "", ".", "C:\\a.png", "\\\\host\\a"]
)
def test_files_outside_the_folder_are_rejected(tmp_path: Path, file: str) -> None:
    for outside in (album(file=file), album(audio=file)):
        with pytest.raises(ValueError, match="not below"):
            write_page(tmp_path, [outside], preview="p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("covers/a b#1?.png", "./covers/a%20b%231%3F.png"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("covers/é\udcff.png", "./covers/%C3%A9%FF.png"),
    ],
)
def test_file_names_become_relative_urls(tmp_path: Path, name: str, url: str) -> None:
    page = Elements(write_page(tmp_path, [album(file=name)], preview="p"))
    assert page.album()["candidates"][0]["file"] == url


def test_existing_page_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("old")
    assert write_page(tmp_path, [], preview="p") == tmp_path / "index.html"
    assert (tmp_path / "index.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
