"""The codes of reasons are an interface: scripts and docs rely on them."""

import copy
import pickle
import re

import pytest

from covergen.core.reasons import Reason

# Two members of one code are one member to Python, but both names are in __members__.
_NAMES = tuple(Reason.__members__)


def test_each_reason_has_a_code_of_its_own() -> None:
    assert [reason.name for reason in Reason] == list(_NAMES)


@pytest.mark.parametrize("name", _NAMES)
def test_the_code_is_the_name_in_kebab_case(name: str) -> None:
    code = Reason[name].value

    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert code.replace("-", "_").upper() == name


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_explained_in_one_line(reason: Reason) -> None:
    assert reason.text
    assert reason.text.isprintable()


def test_no_two_reasons_are_explained_alike() -> None:
    assert len({reason.text for reason in Reason}) == len(_NAMES)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_comes_back_from_its_code_and_from_another_process(reason: Reason) -> None:
    assert Reason(reason.value) is reason
    assert copy.copy(reason) is reason
    assert pickle.loads(pickle.dumps(reason)) is reason
