"""The training report, its charts and the log it is made from."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from covergen.training.events import (
    Event,
    PairLeftOut,
    Sampled,
    Saved,
    StepDone,
    TrainingBegun,
    Validated,
)
from covergen.training.recipe import RECIPES
from covergen.training.report.chart import make_chart
from covergen.training.report.log import log_line, read_log
from covergen.training.report.report_page import write_report
from covergen.training.training_run import AdapterNames

NAMES = AdapterNames(title="<mine> & yours", base="some/base", clap="some/clap")


def step_done(number: int, loss: float = 0.5) -> StepDone:
    return StepDone(
        step=number, steps=100, loss=loss, rate=1e-4, samples_per_second=8, seconds=number * 36.7
    )


def training_begun(after: int = 0) -> TrainingBegun:
    return TrainingBegun(
        step=after,
        steps=100,
        pairs=1234,
        validation_pairs=56,
        trainable=7890,
        device="some CPU",
        precision="fp32",
        processes=2,
    )


def sample(folder: Path, number: int, color: str) -> Sampled:
    path = folder / "samples" / f"step-{number}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (3000, 500), color).save(path)
    return Sampled(step=number, path=path)


class Page(HTMLParser):
    """The text, tags and references of an HTML page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def report(folder: Path, *events: Event, left_out: dict[str, str] | None = None) -> Page:
    (folder / "log.jsonl").write_text("".join(map(log_line, events)))
    path = write_report(
        folder, RECIPES["default"], NAMES, dataset="my music", left_out=left_out or {}
    )
    return Page(path.read_text(encoding="utf-8"))


def test_report_shows_results_settings_and_left_out_pairs(tmp_path: Path) -> None:
    page = report(
        tmp_path,
        training_begun(),
        *(step_done(n, loss=0.25) for n in range(1, 101)),
        Validated(step=50, loss=0.4),
        Validated(step=100, loss=0.3125),
        PairLeftOut(stem="<b>song</b>", reason="its picture cannot be read"),
        left_out={"tune": "its audio cannot be decoded"},
    )
    for text in (
        "<mine> & yours", "Finished", "some CPU, in 2 processes, in fp32",
        "1,234", "56", "7,890", "1:01:10", "0.2500", "0.3125",
        "<b>song</b>", "its picture cannot be read", "tune", "its audio cannot be decoded",
        "some/base", "some/clap", "min snr gamma", "0.1",
    ):  # fmt: skip
        assert text in page.text, text
    assert page.tags.count("svg") == 2


def test_report_is_self_contained_and_has_no_scripts(tmp_path: Path) -> None:
    page = report(tmp_path, training_begun(), step_done(1), sample(tmp_path, 1, "red"))
    assert all(r.startswith("data:image/jpeg;base64,") for r in page.references)
    assert page.references
    assert "script" not in page.tags
    html = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?://|url\(|@import", html)


def test_report_shows_a_selection_of_sheets_in_order(tmp_path: Path) -> None:
    sheets = [sample(tmp_path, n, "blue") for n in range(2, 11)]
    gone = sample(tmp_path, 1, "red")
    gone.path.unlink()
    page = report(tmp_path, training_begun(), step_done(10), gone, *sheets)
    shown = [int(n) for n in re.findall(r"After (\d+) steps", page.text)]
    assert (shown[0], shown[-1]) == (2, 10)
    assert shown == sorted(shown)
    assert len(shown) == page.tags.count("img") == 8
    assert (tmp_path / "report.html").stat().st_size < 400_000, "pictures are scaled down"


def test_report_of_a_resumed_and_stopped_training(tmp_path: Path) -> None:
    """Repeated samples are shown once, and found if the folder was moved after training."""
    sample(tmp_path, 2, "blue")
    moved = Sampled(step=2, path=Path("elsewhere/samples/step-2.png"))
    repeated: list[Event] = [Validated(step=2, loss=0.25), moved]
    page = report(
        tmp_path, training_begun(), step_done(2), *repeated,
        training_begun(after=2), *repeated, step_done(3),
    )  # fmt: skip
    assert page.tags.count("img") == 1
    assert re.findall(r"After (\d+) steps", page.text) == ["2"]
    assert "Stopped before step 100" in page.text


@pytest.mark.parametrize(
    "events", [[], [training_begun()], [training_begun(), step_done(1, loss=float("nan"))]]
)
def test_report_of_a_training_without_steps(events: list[Event], tmp_path: Path) -> None:
    page = report(tmp_path, *events)
    assert "No training steps were completed" in page.text
    assert "svg" not in page.tags


def test_log_is_read_as_written_without_incomplete_lines(tmp_path: Path) -> None:
    events: list[Event] = [
        training_begun(),
        step_done(1),
        Validated(step=1, loss=0.5),
        Sampled(step=1, path=tmp_path / "a.png"),
        Saved(step=1, path=tmp_path / "ŝ.safetensors"),
        PairLeftOut(stem="a", reason="b"),
    ]
    log = tmp_path / "log.jsonl"
    text = "".join(map(log_line, events))
    log.write_text(text)
    assert read_log(log) == events
    for torn in (text[:-5], text + '{"type": "step", "st', text + "[1]\n\n{}\nnull\n"):
        log.write_text(torn)
        assert read_log(log) == events[: 5 if torn == text[:-5] else 6]
    assert read_log(tmp_path / "none.jsonl") == []


def points(text: str) -> Iterator[tuple[float, float]]:
    for pair in text.split():
        x, y = pair.split(",")
        yield float(x), float(y)


def test_chart_positions_of_values_and_ticks() -> None:
    chart = make_chart([100, 200, 400], [3.0, 1.0, 2.0], smooth=False)
    (x1, y1), (x2, y2), (x3, y3) = points(chart.line)
    assert (x1, x2, x3) == (25, 50, 100), "from step 0 to the last"
    assert y3 == pytest.approx((y1 + y2) / 2, abs=0.02), "2 is halfway between 1 and 3"
    assert y1 < y2, "larger values are higher"
    assert chart.end == pytest.approx((100, y3), abs=0.01)
    ticks = {tick.label: tick.at for tick in chart.x_ticks}
    assert ticks == {"0": 0, "200": 50, "400": 100}
    heights = {float(tick.label): tick.at for tick in chart.y_ticks}
    assert heights[3.0] == pytest.approx(y1, abs=0.02)
    assert len(heights) >= 3


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [1e-12, 2e-12], [-1.0, 1e9]])
def test_extreme_values_are_drawn_inside_the_chart(values: list[float]) -> None:
    for smooth in (False, True):
        chart = make_chart(list(range(1, len(values) + 1)), values, smooth=smooth)
        assert all(-0.01 <= c <= 100.01 for point in points(chart.line) for c in point)
        assert 3 <= len(chart.y_ticks) <= 10
