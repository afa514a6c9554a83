"""What chooses C of a solved head: rows that neither the head nor the body has seen."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import metrics
from tasks.params import FrozenScope
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.problems.classification.answer import probabilities
from tasks.training.solve import solve

SETTINGS = FrozenScope(inverse_regularisation=[0.001, 0.1, 10.0], folds=3)


def learned_by_heart() -> tuple[np.ndarray, Prepared]:
    """Features that tell the labels of 30 training rows without fault, and of 30 validation rows not at all."""
    random, classes = np.random.default_rng(0), np.arange(60) % 2
    features = random.normal(size=(60, 3))
    features[:30, 0] = 3 * classes[:30] + 0.1 * features[:30, 0]
    splits = ["train"] * 30 + ["validation"] * 30
    return features, Prepared([str(i) for i in range(60)], splits, [""] * 60, classes, [{}] * 60, ["a", "b"])


def test_rows_that_moved_the_body_do_not_choose_how_sure_its_head_is() -> None:
    features, data = learned_by_heart()
    by_training, by_validation = (solve(features, data, SETTINGS, 0, moved=moved) for moved in (False, True))
    assert by_training.head.inverse_regularisation == 10.0
    assert by_validation.head.inverse_regularisation == 0.001
    judged = metrics.judge(data.classes[30:], probabilities(by_validation.validation))
    assert by_validation.losses[0.001] == pytest.approx(metrics.log_loss(judged))


@pytest.mark.parametrize("moved", [False, True])
def test_the_head_is_refitted_with_the_validation_rows(moved: bool) -> None:
    features, data = learned_by_heart()
    found = solve(features, data, SETTINGS, 0, moved=moved)
    both, alone = (
        learn.solve_head(features[:rows], data.classes[:rows], 2, found.head.inverse_regularisation)
        for rows in (60, 30)
    )
    np.testing.assert_array_equal(found.head.weight, both.weight)
    np.testing.assert_allclose(found.validation, alone.logits(features[30:]))
