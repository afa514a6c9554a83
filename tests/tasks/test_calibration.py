"""Temperature scaling, on logits whose right temperature is known."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import metrics
from tasks.calibration import LEAST, in_words, temperature
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
    """Of rows answered with a logit of 2 three in four are right: softmax([2 / T, 0]) must be 3/4, T = 2 / log 3."""
    logits, classes = np.tile([2.0, 0.0], (100, 1)), np.tile([0, 0, 0, 1], 25)
    assert temperature(logits, classes) == pytest.approx(2 / np.log(3), rel=1e-4)


def test_a_few_rows_prove_nothing() -> None:
    """Twice the gain is 0.129 a row: 4.13 of 32 rows is over 3.84, 3.62 of 28 is not."""
    logits, classes = np.tile([2.0, 0.0], (100, 1)), np.tile([0, 0, 0, 1], 25)
    assert temperature(logits[:32], classes[:32]) != 1.0
    assert temperature(logits[:28], classes[:28]) == 1.0


def test_rows_that_are_all_right_end_at_the_bound() -> None:
    assert temperature(np.tile(np.eye(2), (20, 1)), np.tile([0, 1], 20)) == pytest.approx(LEAST, rel=0.01)


@pytest.mark.parametrize(("fitted", "words"), [(1.0, "no temperature is proven better"), (2.0, "with temperature 2,")])
def test_words(fitted: float, words: str) -> None:
    scores = {"log_loss": 0.5, "calibration_error": 0.1}
    assert words in in_words({"temperature": fitted, "before": scores, "after": scores})
