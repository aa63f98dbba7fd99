"""The question before a run: what it shows, and its default answer."""

import io
import sys
from pathlib import Path

import pytest

from covergen.cli.confirm import confirmed
from covergen.core.album import Action, AlbumPlan
from covergen.core.reasons import Reason
from covergen.pipeline.totals import MOST_LISTED, PlanTotals
from tests.values import make_album


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def totals_of(albums: int) -> PlanTotals:
    totals = PlanTotals()
    for number in range(albums):
        album = make_album(Path(f"/m/{number}"), title="A", artist="B")
        totals.add(AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER))
    return totals


@pytest.mark.parametrize(("albums", "default"), [(MOST_LISTED, True), (MOST_LISTED + 1, False)])
def test_default_answer_is_yes_only_for_albums_that_are_listed(
    albums: int,
    default: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    assert confirmed(totals_of(albums), iter(["the totals"]), yes=False) is default
    shown = capsys.readouterr().err
    assert shown.count("B – A") == (albums if default else 0)
    assert ("To list them" in shown) is not default
    assert "the totals" in shown


def test_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert confirmed(totals_of(1), iter([]), yes=False)
