"""Tracks of Jamendo's API become plain text and numbers, whatever the server sends."""

from typing import Any

import pytest

from covergen.datasets.jamendo.track import JamendoTrack, parse_track

# The example of developer.jamendo.com.
LISTED: dict[str, Any] = {
    "id": "1848357",
    "name": "mañana será tarde",
    "duration": 272,
    "artist_id": "421168",
    "artist_name": "fankel",
    "album_name": "mañana será tarde",
    "album_id": "368084",
    "license_ccurl": "http://creativecommons.org/licenses/by-nc-nd/3.0/",
    "releasedate": "2021-04-11",
    "album_image": "https://usercontent.jamendo.com?type=album&id=368084&width=300&trackid=1848357",
    "audio": "https://prod-1.storage.jamendo.com/?trackid=1848357&format=mp31&from=app-devsite",
    "audiodownload": "https://prod-1.storage.jamendo.com/download/track/1848357/mp32/",
    "image": "https://usercontent.jamendo.com?type=album&id=368084&width=300&trackid=1848357",
    "musicinfo": {"tags": {"genres": ["rock", "pop"], "instruments": ["bass"], "vartags": []}},
    "audiodownload_allowed": True,
}


def parsed(**changes: object) -> JamendoTrack:
    track = parse_track({**LISTED, **changes})
    assert track is not None
    return track


def test_documented_result_is_parsed() -> None:
    track = parsed()
    assert track == JamendoTrack(
        id="1848357",
        title="mañana será tarde",
        artist="fankel",
        album="mañana será tarde",
        album_id="368084",
        duration_seconds=272,
        release_date="2021-04-11",
        genre="rock, pop",
        license_url="http://creativecommons.org/licenses/by-nc-nd/3.0/",
        audio_url="https://prod-1.storage.jamendo.com/download/track/1848357/mp32/",
        image_url="https://usercontent.jamendo.com?type=album&id=368084&width=300&trackid=1848357",
    )
    assert track.page == "https://www.jamendo.com/track/1848357"
    assert track.attribution == (
        "“mañana será tarde” by fankel (https://www.jamendo.com/track/1848357),"
        " CC BY-NC-ND 3.0 (http://creativecommons.org/licenses/by-nc-nd/3.0/)"
    )


def test_single_has_its_own_image_and_key() -> None:
    single = parsed(album_id="", album_name="", album_image="", image="https://x.example/i.jpg")
    assert single.image_url == "https://x.example/i.jpg"
    assert single.keys == {"jamendo-track-1848357"}
    assert parsed().keys == {"jamendo-album-368084", "jamendo-track-1848357"}


@pytest.mark.parametrize(
    "changes", [{"audiodownload_allowed": False}, {"audiodownload": ""}, {"audiodownload": None}]
)
def test_forbidden_download_has_no_url(changes: dict[str, object]) -> None:
    assert parsed(**changes).audio_url == ""


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/relative", "ftp://x/", 7, "x" * 5000])
def test_only_web_urls_are_accepted(url: object) -> None:
    track = parsed(audiodownload=url, album_image=url, image=url)
    assert (track.audio_url, track.image_url) == ("", "")


@pytest.mark.parametrize(
    "bad", ["../../etc/passwd", "", "12/34", "1" * 40, "-1", None, [], {"id": 1}, "٣٤", True, 1.5]
)
def test_id_must_be_digits(bad: object) -> None:
    assert parse_track({**LISTED, "id": bad}) is None
    assert parsed(album_id=bad).album_id == ""


def test_text_becomes_one_printable_line() -> None:
    title = parsed(name="a\r\n\tb\x00\x1b[31m\ud800 c" + "d" * 9000).title
    assert title.startswith("a b [31m c")
    assert title.isprintable()
    assert len(title) <= 500
    title.encode()


@pytest.mark.parametrize("junk", [None, 7, "text", [], [["id", "1"]], {}])
def test_invalid_result_is_none(junk: object) -> None:
    assert parse_track(junk) is None


@pytest.mark.parametrize("junk", [None, "x", [1], {"tags": 5}, {"tags": {"genres": {"a": 1}}}])
def test_invalid_music_information_is_ignored(junk: object) -> None:
    assert parsed(musicinfo=junk, duration="long").genre == ""
