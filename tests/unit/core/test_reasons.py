"""Reason codes are an interface: scripts and documentation rely on them."""

import re

import pytest

from covergen.core.reasons import Reason


def test_codes_and_explanations_are_unique() -> None:
    # An enum turns members with the same value into aliases, which only __members__ lists.
    assert [reason.name for reason in Reason] == list(Reason.__members__)
    assert len({reason.text for reason in Reason}) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_reason_is_well_formed(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.value)
    assert reason.value.replace("-", "_").upper() == reason.name
    assert reason.text
    assert reason.text.isprintable()
