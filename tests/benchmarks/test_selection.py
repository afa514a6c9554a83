"""Regret and noise worked out by hand, and what the two scopes' choices are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.selection import RULES, draw, noise, regret, table
from benchmarks.selection_full import FULL_RULES


def cell(depth: int, pool: str, realised: float, **changes: Any) -> dict[str, Any]:
    scores = {"accuracy": 0.5, "log_loss": 1.0, "standard_error": 0.1, "log_me": 0.0, "h_score": realised, "nleep": 0.0}
    halves = {"halves": [realised, realised], "knn": 0.0, "off_typical": 0.0}
    return {"depth": depth, "pool": pool, "realised": realised} | scores | halves | changes


def test_regret_is_what_the_pick_lacks_to_the_best() -> None:
    accuracy = np.array([0.6, 0.8, 0.7])
    assert regret(np.array([0.1, 0.2, 0.9]), accuracy) == pytest.approx(10)
    assert regret(np.array([0.9, 0.9, 0.1]), accuracy) == pytest.approx(20)  # the first of equals
    assert regret(accuracy, accuracy) == 0


def test_noise_judges_the_best_of_one_half_on_the_other() -> None:
    one = [cell(1, "mean", 0.7, halves=[0.8, 0.6]), cell(2, "mean", 0.7, halves=[0.7, 0.7])]
    assert noise(one) == pytest.approx(10)  # each half prefers another one, and loses 10 points on the other half


def test_a_draw_has_as_many_rows_of_each_label_and_four_fifths_of_all() -> None:
    classes = np.repeat([0, 1], [10, 3])
    assert np.bincount(classes[draw(classes, 5, (1,))]).tolist() == [5, 3]
    assert np.bincount(classes[draw(classes, None, (1,))]).tolist() == [8, 2]
    assert draw(classes, 5, (1,)).tolist() == draw(classes, 5, (1,)).tolist() != draw(classes, 5, (2,)).tolist()


def test_each_scope_is_judged_by_its_own_choice() -> None:
    # Depth 2 wins every vote; of the last block's pools, `first` does, and loses to `mean` once blocks learn.
    one = [
        cell(2, "mean", 0.9, log_loss=0.1, log_me=0.9),
        cell(6, "first", 0.6, log_loss=0.3, log_me=0.5),
        cell(6, "mean", 0.5, log_loss=0.4, log_me=0.4),
    ]
    assert RULES["Graft"](one).argmax() == 0
    assert FULL_RULES["Graft"](one).tolist() == [0, 0, 1]
    lines = table([("trec", "8", one)], "8", FULL_RULES)
    assert lines[0] == "| 8 a label | mean | worst set | trec | tau |"
    assert lines[2].startswith("| Graft | 40.00 | 40.00 | 40.00 |")
    assert lines[-1] == "| best accuracy, % | | | 90.0 | |"
