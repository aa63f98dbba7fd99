"""Recipe validation, step counts and the learning rate schedule."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.optimization import get_scheduler

from covergen.core.errors import UsageError
from covergen.training.learning_rate import learning_rate
from covergen.training.recipe import RECIPES, Recipe


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"learning_rate": 0.0}, "learning_rate = 0.0: expected more than 0"),
        ({"learning_rate": float("inf")}, "learning_rate = inf: expected more than 0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan: expected more than 0"),
        ({"batch_size": 0}, "batch_size = 0: expected at least 1"),
        ({"validation": 1.0}, "validation = 1.0: expected at least 0 and less than 1"),
        ({"projection": "linear", "tokens": 4}, "tokens = 4: the linear projection has one token"),
        ({"seed": -1}, "seed = -1: expected at least 0 and less than 2^63"),
        ({"seed": 2**63}, f"seed = {2**63}: expected at least 0 and less than 2^63"),
    ],
)
def test_invalid_settings_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match="Invalid training settings") as caught:
        Recipe(rank=0, **changes)
    assert set(caught.value.message.splitlines()[1:]) == {"rank = 0: expected at least 1", problem}


@pytest.mark.parametrize(
    ("pairs", "changes", "steps"),
    [
        (64, {"batch_size": 32, "epochs": 30}, 60),
        (65, {"batch_size": 32, "epochs": 30}, 90),
        (65, {"batch_size": 16, "accumulation": 2, "epochs": 30}, 90),
        (3, {"batch_size": 32, "epochs": 2}, 2),
        (65, {"max_steps": 7}, 7),
    ],
)
def test_number_of_steps(pairs: int, changes: dict[str, Any], steps: int) -> None:
    assert replace(RECIPES["default"], **changes).steps(pairs) == steps


def test_learning_rate_matches_diffusers_cosine() -> None:
    recipe = replace(RECIPES["reference"], learning_rate=0.5)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    rates = get_scheduler("cosine", optimizer, num_warmup_steps=0, num_training_steps=9)
    for step in range(9):
        assert learning_rate(recipe, step, 9) == pytest.approx(rates.get_last_lr()[0])
        optimizer.step()
        rates.step()


def test_learning_rate_warms_up() -> None:
    recipe = replace(RECIPES["default"], learning_rate=1.0, warm_up_steps=4)
    found = [learning_rate(recipe, step, 64) for step in range(64)]
    assert found[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert found[34] == pytest.approx(0.5)  # halfway through the decay
    assert found == sorted(found[:4]) + sorted(found[4:], reverse=True)


@pytest.mark.parametrize("steps", [1, 9, 10, 50, 120])
def test_warm_up_takes_at_most_a_tenth_of_the_steps(steps: int) -> None:
    recipe = RECIPES["default"]
    found = [learning_rate(recipe, step, steps) for step in range(steps)]
    assert max(found) == recipe.learning_rate
    assert found.index(max(found)) <= steps / 10


@pytest.mark.parametrize(("prompt", "tokens"), [(77, 7), (16, 8), (13, 1)])
def test_number_of_tokens_divides_the_prompt_length(prompt: int, tokens: int) -> None:
    assert RECIPES["default"].count_tokens(prompt) == tokens
    assert replace(RECIPES["default"], tokens=5).count_tokens(prompt) == 5
    assert RECIPES["reference"].count_tokens(prompt) == 1
