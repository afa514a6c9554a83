"""Scores against values worked out by hand, and intervals that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks import metrics
from tasks.metrics import Judged, judge


def answered(classes: list[int], predictions: list[int], count: int, sure: float = 0.9) -> Judged:
    """Answers that put `sure` on the prediction and share the rest."""
    probabilities = np.full((len(classes), count), (1 - sure) / (count - 1))
    probabilities[np.arange(len(classes)), predictions] = sure
    return judge(np.array(classes), probabilities)


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert metrics.accuracy(answered([0, 0, 1, 1], [0, 1, 1, 1], 2)) == 0.75


def test_f1_by_hand_and_none_for_a_label_without_rows() -> None:
    judged = answered([0, 0, 1, 1], [0, 1, 1, 1], 3)
    # Label 0: one hit, two rows, one answer: 2 * 1 / 3. Label 1: two hits, two rows, three answers: 4 / 5.
    assert metrics.f1_per_label(judged) == [pytest.approx(2 / 3), pytest.approx(0.8), None]
    assert metrics.macro_f1(judged) == pytest.approx((2 / 3 + 0.8) / 2)


def test_a_label_without_rows_has_no_f1_even_when_it_was_answered() -> None:
    judged = answered([0, 0, 1], [0, 2, 0], 3)
    assert metrics.f1_per_label(judged) == [pytest.approx(0.5), 0.0, None]
    assert metrics.macro_f1(judged) == pytest.approx(0.25)


def test_log_loss_in_nats_and_finite_at_probability_zero() -> None:
    judged = judge(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]]))
    assert metrics.log_loss(judged) == pytest.approx(1.5 * math.log(2))
    wrong = judge(np.array([0]), np.array([[0.0, 1.0]]))
    assert metrics.log_loss(wrong) == pytest.approx(-math.log(metrics.SMALLEST))


def test_calibration_error_by_hand() -> None:
    # Two rows at 0.9, one right: |1 - 1.8|. Two rows at 0.6, both right: |2 - 1.2|. Together 1.6 of 4 rows.
    judged = judge(np.array([0, 1, 0, 0]), np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]]))
    assert metrics.calibration_error(judged) == pytest.approx(0.4)


def test_full_confidence_falls_into_the_last_bin() -> None:
    assert metrics.calibration_error(answered([0, 1], [0, 1], 2, sure=1.0)) == 0.0
    assert metrics.calibration_error(answered([0, 1], [1, 0], 2, sure=1.0)) == 1.0


def test_take_repeats_rows_in_every_column() -> None:
    taken = answered([0, 1], [0, 0], 2).take(np.array([1, 1, 0]))
    assert (taken.classes.tolist(), taken.predictions.tolist(), taken.count) == ([1, 1, 0], [0, 0, 0], 2)
    assert taken.losses.tolist() == pytest.approx([-math.log(0.1), -math.log(0.1), -math.log(0.9)])


def test_intervals_contain_the_value_and_widen_with_fewer_rows() -> None:
    draw = np.random.default_rng(0)
    classes = draw.integers(0, 3, 120)
    logits = draw.normal(size=(120, 3)) + 1.5 * np.eye(3)[classes]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    many = metrics.estimates(judge(classes, shares), metrics.Resamples(120, 300, 1))
    few = metrics.estimates(judge(classes[:20], shares[:20]), metrics.Resamples(20, 300, 1))
    assert set(many) == {"accuracy", "macro_f1", "log_loss", "calibration_error"}
    for name in ("accuracy", "macro_f1", "log_loss"):
        one = many[name]
        assert one.low < one.value < one.high
        assert few[name].high - few[name].low > one.high - one.low


def test_a_record_has_six_digits() -> None:
    assert metrics.Estimate(1 / 3, 0.0, 2 / 3).record() == {"value": 0.333333, "low": 0.0, "high": 0.666667}


def test_identical_answers_differ_by_exactly_nothing() -> None:
    judged = answered([0, 1, 0, 1, 1], [0, 0, 0, 1, 1], 2)
    drawn = metrics.Resamples(5, 50, 3)
    for metric in metrics.METRICS:
        assert metrics.paired_difference(metric, judged, judged, drawn) == metrics.Estimate(0.0, 0.0, 0.0)


def test_the_paired_difference_is_first_minus_second_on_the_same_draws() -> None:
    first, second = answered([0, 1, 0, 1], [0, 1, 0, 0], 2), answered([0, 1, 0, 1], [1, 1, 1, 0], 2)
    found = metrics.paired_difference("accuracy", first, second, np.array([[0, 2, 0, 2], [1, 3, 1, 3]]))
    # Draw one holds only rows that differ, draw two none: 1 and 0, so the 2.5 % quantile is 0.025.
    assert (found.value, found.low, found.high) == (0.5, pytest.approx(0.025), pytest.approx(0.975))


def test_resamples_depend_on_the_seed_alone() -> None:
    resamples = metrics.Resamples(7, 40, 5)
    drawn = np.stack(list(resamples))
    assert drawn.shape == (40, 7) and drawn.min() == 0 and drawn.max() == 6
    assert np.array_equal(drawn, np.stack(list(resamples))), "a second pass draws the same"
    assert not np.array_equal(drawn, np.stack(list(metrics.Resamples(7, 40, 6))))
