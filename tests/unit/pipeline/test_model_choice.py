"""Which settings apply to a model that the user changes."""

import pytest

from covergen.pipeline.model_choice import ModelChoice, choose_preset


@pytest.mark.parametrize(
    ("choice", "finish"),
    [
        (ModelChoice(), "smooth"),
        (ModelChoice(finish="none"), "none"),
        (ModelChoice(base="another/base"), "none"),
        (ModelChoice(base="another/base", finish="sharp"), "sharp"),
    ],
)
def test_a_models_finish_is_for_its_own_base(choice: ModelChoice, finish: str) -> None:
    assert choose_preset(choice).sampling.finish == finish
