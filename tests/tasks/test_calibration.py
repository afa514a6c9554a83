"""Temperature scaling, on logits whose right temperature is known."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import metrics
from tasks.calibration import LEAST, temperature
from tasks.problems.classification.answer import probabilities


@pytest.mark.parametrize("overconfident", [0.5, 1.0, 3.0])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(overconfident: float) -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (20_000, 3))
    classes = np.array([draw.choice(3, p=row) for row in probabilities(logits)])
    found = temperature(overconfident * logits, classes)
    assert found == pytest.approx(overconfident, rel=0.03)
    before, after = (metrics.judge(classes, probabilities(overconfident * logits / t)) for t in (1.0, found))
    assert metrics.log_loss(after) <= metrics.log_loss(before)
    assert (before.predictions == after.predictions).all(), "a temperature changes no answer"
    assert metrics.calibration_error(after) < 0.02


def test_by_hand() -> None:
    """Of four rows answered with a logit of 2 three are right: softmax([2 / T, 0]) must be 3/4, T = 2 / log 3."""
    logits = np.tile([2.0, 0.0], (4, 1))
    assert temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(2 / np.log(3), rel=1e-4)


def test_without_rows_nothing_is_changed() -> None:
    assert temperature(np.empty((0, 3)), np.empty(0, dtype=int)) == 1.0


def test_rows_that_are_all_right_end_at_the_bound() -> None:
    assert temperature(np.eye(2), np.array([0, 1])) == pytest.approx(LEAST, rel=0.01)
