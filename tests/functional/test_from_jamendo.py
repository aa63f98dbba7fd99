"""`covergen dataset from-jamendo`, against a server on the loopback."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.conftest import Run, json_lines
from tests.jamendo_server import CLIENT_ID, FakeJamendo, make_song, running


@pytest.fixture
def jamendo(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJamendo]:
    monkeypatch.setenv("JAMENDO_CLIENT_ID", CLIENT_ID)
    monkeypatch.delenv("JAMENDO_API_KEY", raising=False)
    with running(FakeJamendo(songs=[make_song(n) for n in range(1, 9)])) as jamendo:
        yield jamendo


def command(jamendo: FakeJamendo, folder: Path, *options: object) -> list[object]:
    quick = ("--rate", 10, "--seconds", 10, "--base-url", jamendo.base_url)
    return ["dataset", "from-jamendo", folder, *quick, *options]


def ids(folder: Path) -> list[str]:
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return [row["jamendo_track_id"] for row in csv.DictReader(file)]


def test_pairs_are_collected_and_added_to(jamendo: FakeJamendo, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    result = run(*command(jamendo, folder, "--pairs", 2))
    assert "Ann Artist – Album 1001 (2011)" in result.stdout
    assert "covergen dataset check" in result.stderr
    objects = json_lines(run(*command(jamendo, folder, "--pairs", 3, "--json")))
    assert [(o["type"], o.get("key"), o.get("result")) for o in objects] == [
        ("album", "jamendo-album-1003", "collected"),
        ("summary", None, None),
    ]
    assert ids(folder) == ["1", "2", "3"]
    jamendo.asked.clear()
    assert "3 pairs" in run(*command(jamendo, folder, "--pairs", 3)).stderr
    (summary,) = json_lines(run(*command(jamendo, folder, "--pairs", 3, "--json")))
    assert summary["type"] == "summary"
    assert not jamendo.asked
    run("dataset", "check", folder, "--no-sheet")


def test_dry_run_counts_and_writes_nothing(jamendo: FakeJamendo, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    jamendo.songs[3:4] = [make_song(4, downloadable=False)]
    jamendo.songs += [make_song(20, album_id=0)]
    options = ("--dry-run", "--tag", "rock", "--license", "by-sa", "--since", "2010-01-01")
    text = run(*command(jamendo, folder, *options)).stdout
    for part in ("8 on Jamendo", "its artist does not allow downloads", "tags=rock", "ccsa=true"):
        assert part in text
    objects = json_lines(run(*command(jamendo, folder, *options, "--json")))
    assert [(o["type"], o.get("total"), o.get("usable")) for o in objects] == [
        ("search", 8, 7),
        ("search", 1, 1),
        ("summary", None, None),
    ]
    assert objects[0]["skipped"] == [{"reason": "no-download", "count": 1}]
    assert objects[2]["there"] == 0
    assert not folder.exists()
    assert set(jamendo.asked) == {"api"}


def test_options_are_sent_to_jamendo(jamendo: FakeJamendo, run: Run, tmp_path: Path) -> None:
    options = ("--license", "by", "--license", "by-nc", "--any-tag", "folk", "--any-tag", "jazz",
               "--until", "2020-02-29", "--order", "newest", "--image-size", 300)  # fmt: skip
    jamendo.songs = [make_song(1, license="by-nc", genres=("jazz",), released="2020-02-29")]
    run(*command(jamendo, tmp_path, *options, "--pairs", 1))
    (sent,) = jamendo.queries
    wanted = {"ccsa": "false", "ccnd": "false", "fuzzytags": "folk jazz", "imagesize": "300",
              "order": "releasedate_desc", "datebetween": "1900-01-01_2020-02-29"}  # fmt: skip
    assert wanted.items() <= sent.items()
    assert "ccnc" not in sent


def test_the_key_may_stand_in_the_working_folders_env_file(
    jamendo: FakeJamendo, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAMENDO_CLIENT_ID")
    monkeypatch.chdir(tmp_path)
    assert ".env" in run(*command(jamendo, tmp_path / "data", "--dry-run"), expect=2).stderr
    text = f"# keys\nOTHER='a b'\nexport JAMENDO_API_KEY = \"{CLIENT_ID}\"  # mine\r\n"
    (tmp_path / ".env").write_text(text)
    assert CLIENT_ID not in run(*command(jamendo, tmp_path / "data", "--dry-run")).stderr
    monkeypatch.setenv("JAMENDO_API_KEY", "wr0ng")  # the environment comes first
    run(*command(jamendo, tmp_path / "data", "--dry-run"), expect=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--license", "gpl"), "by-nc-sa"),
        (("--image-size", "1000"), "600"),
        (("--since", "2020-13-01"), "2020-13-01"),
        (("--since", "yesterday"), "not a date such as 2024-12-31"),
        (("--since", "2020-02-02", "--until", "2020-02-01"), "later than"),
        (("--pairs", "0"), "--pairs"),
        (("--client-id", "wr0ng"), "devportal.jamendo.com"),
    ],
)
def test_invalid_options_are_usage_errors(
    jamendo: FakeJamendo, run: Run, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    error = run(*command(jamendo, tmp_path, *options), expect=2).stderr
    assert message in error
    assert "wr0ng" not in error


def test_client_id_is_read_from_either_variable_and_never_shown(
    jamendo: FakeJamendo, run: Run, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CLIENT_ID not in run("config").output
    monkeypatch.setenv("JAMENDO_CLIENT_ID", " ")
    assert "JAMENDO_CLIENT_ID" in run(*command(jamendo, tmp_path), expect=2).stderr
    monkeypatch.setenv("JAMENDO_API_KEY", CLIENT_ID)
    assert CLIENT_ID not in run(*command(jamendo, tmp_path, "--pairs", 1)).output
    monkeypatch.delenv("JAMENDO_API_KEY")
    run(*command(jamendo, tmp_path, "--pairs", 2, "--client-id", CLIENT_ID))
    assert ids(tmp_path) == ["1", "2"]
    for path in (*tmp_path.rglob("*"), *home.rglob("*")):
        assert path.is_dir() or CLIENT_ID.encode() not in path.read_bytes()
