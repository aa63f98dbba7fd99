"""The page as a file; tests/browser shows its behavior in a browser."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from covergen.core.album import Action
from covergen.core.reasons import Reason
from covergen.preview.manifest import AlbumEntry, Candidate, ManifestHeader
from covergen.preview.page.build_page import make_page


def write_page(folder: Path, *albums: AlbumEntry, root: str = "Music") -> Path:
    header = ManifestHeader(preview="p", roots=(root,), settings={"seed": "0"})
    return make_page(folder, header, albums)


def album(title: str = "Title", *, excerpt: str = "") -> AlbumEntry:
    return AlbumEntry(
        id="id",
        key="key",
        title=title,
        artist=title,
        date="1999-02-03",
        root=0,
        folder=title,
        shares_folder=False,
        cover_file="",
        seconds=1.0,
        tracks=(),
        action=Action.PAINT,
        reason=Reason.NO_COVER,
        candidates=(Candidate(number=0, seed=2**63 - 1, cover="a-1.png"),),
        excerpt=excerpt,
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
    plain = Elements(write_page(tmp_path, album()))
    path = write_page(tmp_path, album(name), root=name)
    page = Elements(path)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    shown = name.encode(errors="replace").decode()
    assert [page.album()[key] for key in ("title", "artist", "folder")] == [shown] * 3
    text = path.read_text(encoding="utf-8")
    data = text.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    assert data.isascii()
    assert "<" not in data


def test_page_refers_only_to_its_own_folder(tmp_path: Path) -> None:
    page = write_page(tmp_path, album(excerpt="a.mp3"))
    for tag, attributes in Elements(page).tags:
        for name in ("src", "href", "action", "data", "srcset"):
            url = attributes.get(name) or ""
            assert not re.match(r"[a-z]+:|/", url), (tag, url)
    assert not re.search(r"url\(|@import|//[a-z]", page.read_text(encoding="utf-8"))
    shown = Elements(page).album()
    (candidate,) = shown["candidates"]
    files = (candidate["file"], candidate["thumbnail"], shown["audio"])
    assert files == ("./covers/a-1.png", "./thumbnails/a-1.jpg", "./audio/a.mp3")
    assert (candidate["seed"], shown["year"]) == (str(2**63 - 1), "1999")


def test_existing_page_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("old")
    assert write_page(tmp_path) == tmp_path / "index.html"
    assert (tmp_path / "index.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
