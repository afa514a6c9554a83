"""How the rate rises and falls."""

from __future__ import annotations

from typing import get_args

import pytest

from tasks.params import Training
from tasks.training.decay import DECAYS, schedule


@pytest.mark.parametrize(
    ("progress", "warmup", "factor"),
    [(0, 0.1, 0), (0.05, 0.1, 0.5), (0.1, 0.1, 1), (0.55, 0.1, 0.5), (0, 0, 1), (0.25, 0, 0.75), (0.5, 0.5, 1)],
)
def test_linear_by_hand(progress: float, warmup: float, factor: float) -> None:
    assert schedule(progress, warmup, "linear") == pytest.approx(factor)


@pytest.mark.parametrize(
    ("progress", "warmup", "factor"),
    [(0.05, 0.1, 0.5), (0.1, 0.1, 1), (0.55, 0.1, 0.5), (0.25, 0, (1 + 0.5**0.5) / 2), (0.75, 0, (1 - 0.5**0.5) / 2)],
)
def test_cosine_by_hand(progress: float, warmup: float, factor: float) -> None:
    assert schedule(progress, warmup, "cosine") == pytest.approx(factor)


@pytest.mark.parametrize("decay", DECAYS)
def test_every_decay_falls_from_one_to_nothing(decay: str) -> None:
    course = [DECAYS[decay](i / 100) for i in range(101)]
    assert course[0] == 1 and course[-1] == pytest.approx(0)
    assert course == sorted(course, reverse=True)


def test_the_params_know_every_decay() -> None:
    assert set(get_args(Training.model_fields["decay"].annotation)) == set(DECAYS)
