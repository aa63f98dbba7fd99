"""The page as a file; what it does in a browser is shown in tests/browser."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

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
    """Start tags, and what scripts and the title hold, as an HTML parser sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.setdefault(self.tags[-1][0], []).append(data)


def parsed(path: Path) -> Elements:
    elements = Elements()
    elements.feed(path.read_text(encoding="utf-8"))
    return elements


_HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "\u2028\u2029",
    "\ud800\x00\x1f",
    "$data ${policy} $$",
    "]]>",
]


@pytest.mark.parametrize("name", _HOSTILE)
def test_names_come_back_as_they_were_and_change_no_element(tmp_path: Path, name: str) -> None:
    plain = parsed(write_page(tmp_path, [album()], preview="p", title="t"))
    page = parsed(
        write_page(tmp_path, [album(name)], preview="p", title=name.replace("\ud800", ""))
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    data = json.loads(page.texts["script"][0])
    [found] = data["albums"]
    assert [found[key] for key in ("title", "artist", "folder", "reason")] == [name] * 4


def test_what_a_browser_must_not_see_is_not_in_the_file(tmp_path: Path) -> None:
    page = write_page(tmp_path, [album(name) for name in _HOSTILE], preview="p")
    text = page.read_text(encoding="utf-8")
    data = text.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    assert data.isascii()
    assert "<" not in data


def test_it_refers_to_nothing_outside_its_folder(tmp_path: Path) -> None:
    page = write_page(tmp_path, [album(audio="audio/a.mp3")], preview="p")
    for tag, attributes in parsed(page).tags:
        for name in ("src", "href", "action", "data", "srcset"):
            address = attributes.get(name) or ""
            assert not re.match(r"[a-z]+:|/", address), (tag, address)
    assert not re.search(r"url\(|@import|//[a-z]", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../a.png", "covers/../../a.png", "", ".", "C:\\a.png", "\\\\host\\a"]
)
def test_files_elsewhere_are_refused(tmp_path: Path, file: str) -> None:
    with pytest.raises(ValueError, match="not below"):
        write_page(tmp_path, [album(file=file)], preview="p")
    with pytest.raises(ValueError, match="not below"):
        write_page(tmp_path, [album(audio=file)], preview="p")
    assert list(tmp_path.iterdir()) == []


def test_file_names_become_addresses(tmp_path: Path) -> None:
    names = {
        "covers/a b#1?.png": "./covers/a%20b%231%3F.png",
        "javascript:alert(1)": "./javascript%3Aalert%281%29",
        "covers/é\udcff.png": "./covers/%C3%A9%FF.png",
    }
    for name, address in names.items():
        page = write_page(tmp_path, [album(file=name)], preview="p")
        data = json.loads(parsed(page).texts["script"][0])
        assert data["albums"][0]["candidates"][0]["file"] == address


def test_it_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("old")
    assert write_page(tmp_path, [], preview="p") == tmp_path / "index.html"
    assert (tmp_path / "index.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
