"""Confident learning on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.preparation.label_quality import believed, ceiling, limits, noise_share, suspects

# Rows 0 to 2 are given label 0, rows 3 to 5 label 1; row 2 looks like label 1.
CLASSES = np.array([0, 0, 0, 1, 1, 1])
SHARES = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.45, 0.55]])


def test_a_limit_is_the_mean_probability_over_the_rows_of_a_label() -> None:
    assert limits(CLASSES, SHARES).tolist() == pytest.approx([0.6, 2.05 / 3])
    three = np.hstack([SHARES, np.zeros((6, 1))])
    assert limits(CLASSES, three)[2] == np.inf, "a label without rows is believed of none"


def test_a_label_is_believed_from_its_own_limit_on() -> None:
    found = believed(SHARES, limits(CLASSES, SHARES))
    assert found.tolist() == [0, 0, 1, 1, 1, -1], "the last row reaches neither limit"
    assert believed(np.array([[0.5, 0.4]]), np.array([0.6, 0.3])).tolist() == [1], "not the most probable of all"
    assert believed(np.array([[0.5, 0.4]]), np.array([0.4, 0.3])).tolist() == [0]


def test_noise_is_what_lies_off_the_diagonal_of_the_calibrated_joint() -> None:
    found = believed(SHARES, limits(CLASSES, SHARES))
    # Label 0: one of three sure rows is believed to be 1, so 3 x 1/3 rows; label 1: none of two. 1 of 6 rows.
    assert noise_share(CLASSES, found, 2) == pytest.approx(1 / 6)
    assert noise_share(CLASSES, np.full(6, -1), 2) == 0
    assert noise_share(CLASSES, CLASSES, 3) == 0


def test_calibration_counts_all_rows_of_a_label() -> None:
    # Label 0 has 4 rows of which two are sure, one of them of label 1: 4 x 1/2 of 5 rows.
    assert noise_share(np.array([0, 0, 0, 0, 1]), np.array([0, 1, -1, -1, 1]), 2) == pytest.approx(2 / 5)


def test_as_many_rows_are_suspected_as_there_is_noise() -> None:
    classes = np.array([0, 0, 0, 0, 1])
    shares = np.array([[0.1, 0.9], [0.3, 0.7], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]])
    assert ceiling(classes, shares, 0.4) == 0.3  # two of five: rows 0 and 1, of which row 4 has as little
    assert [row for row, _, _ in suspects(classes, shares, 0.3)] == [0, 1, 4]
    assert suspects(classes, shares, ceiling(classes, shares, 0.0)) == []
    assert ceiling(classes, shares, 1.0) == 0.4, "no more than have another label for their most probable one"


def test_suspects_name_the_most_probable_label_and_come_the_surest_first() -> None:
    classes = np.array([0, 0, 1])
    shares = np.array([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.15, 0.15, 0.7]])
    assert suspects(classes, shares, 0.5) == [(1, 2, 0.1), (2, 2, 0.15), (0, 1, 0.2)]
    assert [row for row, _, _ in suspects(classes, shares, 0.15)] == [1, 2], "the ceiling belongs to it"


def test_a_row_whose_given_label_is_the_most_probable_is_no_suspect() -> None:
    assert suspects(np.array([0]), np.array([[0.4, 0.3, 0.3]]), 1.0) == []


def test_planted_flips_come_first_among_clear_clusters() -> None:
    draw = np.random.default_rng(0)
    true = np.arange(300) % 3
    logits = np.eye(3)[true] * 8 + draw.normal(size=(300, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given, flipped = true.copy(), set(range(0, 300, 20))
    given[list(flipped)] = (given[list(flipped)] + 1) % 3
    noise = noise_share(given, believed(shares, limits(given, shares)), 3)
    assert noise == pytest.approx(0.05, abs=0.02)
    assert {row for row, _, _ in suspects(given, shares, ceiling(given, shares, noise))} == flipped
