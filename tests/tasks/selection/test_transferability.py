"""Transferability scores on cases worked out by hand, and what must not change them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tasks.selection import transferability as scores

DRAW = np.random.default_rng(0)
CLASSES = np.arange(60) % 3
NOISE = DRAW.normal(size=(60, 6))
INFORMED = NOISE + 3 * np.eye(3, 6)[CLASSES]
ROTATION = np.linalg.qr(DRAW.normal(size=(6, 6)))[0]
SQUARE = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def nleep(features: np.ndarray, classes: np.ndarray) -> float:
    return scores.nleep(features, classes, seed=1)


ALL: list[Callable[[np.ndarray, np.ndarray], float]] = [
    scores.log_me, scores.h_score, nleep, scores.knn_accuracy,
]  # fmt: skip


def gaussian(rows: int, *variances: tuple[int, float]) -> float:
    """Log density, a row, of a target whose squared parts are what the variances of their directions expect."""
    total = sum(count * (math.log(2 * math.pi * variance) + 1) for count, variance in variances)
    assert sum(count for count, _ in variances) == rows
    return -total / 2 / rows


def test_log_me_of_one_feature_by_hand() -> None:
    # The model says: variance a along the feature's direction u, b along the three others. Label 0 is (1, 1, 1, 0):
    # (u @ y)^2 = 2 along u = (1, 1, 0, 0) / sqrt 2, 1 is left. The evidence is largest at a = 2, b = 1 / 3.
    # Label 1, (0, 0, 0, 1), has nothing along u: a = b, both 1 / 4.
    found = scores.log_me(np.array([[5.0], [5.0], [0.0], [0.0]]), np.array([0, 0, 0, 1]))
    assert found == pytest.approx((gaussian(4, (1, 2.0), (3, 1 / 3)) + gaussian(4, (4, 1 / 4))) / 2, rel=1e-5)


def test_log_me_of_two_equal_features_by_hand() -> None:
    # Two directions of five share a variance, the three others another one.
    features = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [0, 0]])
    found = scores.log_me(features, np.array([0, 0, 0, 1, 1]))
    first = gaussian(5, (2, 2.5 / 2), (3, 0.5 / 3))  # (1, 1, 1, 0, 0): 5 / 2 of 3 lie inside
    second = gaussian(5, (5, 2 / 5))  # (0, 0, 0, 1, 1): 1 / 2 of 2 lies inside, less than by chance: one variance
    assert found == pytest.approx((first + second) / 2, rel=1e-5)


def test_log_me_is_the_largest_evidence_there_is() -> None:
    from scipy.optimize import minimize

    def loss(logarithms: np.ndarray, target: np.ndarray) -> float:
        alpha, beta = np.exp(logarithms)
        covariance = np.eye(60) / beta + INFORMED @ INFORMED.T / alpha
        _, determinant = np.linalg.slogdet(2 * np.pi * covariance)
        return float(determinant + target @ np.linalg.solve(covariance, target)) / 2

    targets = (CLASSES[:, None] == np.arange(3)).astype(float).T
    best = [-minimize(loss, np.zeros(2), args=(target,), method="Nelder-Mead", tol=1e-9).fun for target in targets]
    assert scores.log_me(INFORMED, CLASSES) == pytest.approx(np.mean(best) / 60, rel=1e-6)


def test_log_me_does_not_fall_for_many_features_of_noise() -> None:
    few, many = NOISE, np.random.default_rng(1).normal(size=(60, 50))
    assert scores.log_me(many, CLASSES) < scores.log_me(few, CLASSES) + 0.02 < scores.log_me(INFORMED, CLASSES)


def test_h_score_by_hand() -> None:
    from sklearn.covariance import ledoit_wolf_shrinkage

    # Variance 1 / 2 in each direction; label means (1 / 2, 1 / 2) and its opposite, so 1 / 4 of it in each between. The
    # covariance is a multiple of the identity, so shrinking leaves it, and of the part between the labels a share.
    shrinkage = ledoit_wolf_shrinkage(SQUARE, assume_centered=True)
    assert scores.h_score(SQUARE, np.array([0, 0, 1, 1])) == pytest.approx((1 - shrinkage) * 0.25 / 0.5 * 2)


def test_shrinking_covers_fewer_rows_than_features() -> None:
    wide = np.random.default_rng(1).normal(size=(12, 40))
    classes = np.arange(12) % 3
    # Not shrunk, both would be K - 1.
    assert scores.h_score(wide, classes) < scores.h_score(wide + 3 * np.eye(3, 40)[classes], classes) < 1.9


def test_leep_by_hand() -> None:
    # Joint with label 0: (1.5, 0.5), with label 1: (0.5, 0.5); so label 0 given z: (3 / 4, 1 / 2).
    source = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    classes = np.array([0, 0, 1])
    expected = (math.log(3 / 4) + math.log(5 / 8) + math.log(3 / 8)) / 3
    assert scores.leep(source, classes) == pytest.approx(expected)
    assert scores.leep(np.eye(3)[[2, 2, 0]], classes) == pytest.approx(0.0)  # each source label has one target label
    assert scores.leep(np.full((4, 5), 0.2), np.array([0, 0, 0, 1])) == pytest.approx(
        (3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    )


def test_nleep_is_leep_of_the_clusters() -> None:
    # Two distant clumps, five rows each: one label a clump says all; two labels in equal parts in both say nothing.
    clumps = np.repeat([0.0, 100.0], 10)[:, None] + np.random.default_rng(2).normal(size=(20, 1))
    assert nleep(clumps, np.repeat([0, 1], 10)) == pytest.approx(0.0, abs=1e-6)
    two = np.vstack([np.zeros((5, 2)), np.ones((5, 2))])
    assert nleep(two, np.repeat([0, 1], 5)) == pytest.approx(0.0, abs=1e-6)
    assert nleep(two, np.array([0, 0, 1, 1, 1] * 2)) == pytest.approx(
        (2 * math.log(2 / 5) + 3 * math.log(3 / 5)) / 5, abs=1e-6
    )


def test_nleep_depends_on_the_seed_alone() -> None:
    assert scores.nleep(NOISE, CLASSES, 1) == scores.nleep(NOISE, CLASSES, 1)
    assert scores.nleep(NOISE, CLASSES, 1) != scores.nleep(NOISE, CLASSES, 2)


def test_knn_accuracy_by_hand() -> None:
    # By angle: 0 and 10 degrees are label 0, 50 is label 0 but nearest to 80, 80 and 95 are label 1.
    angles = np.deg2rad([0, 10, 50, 80, 95])
    features = np.column_stack([np.cos(angles), np.sin(angles)]) * np.array([[1], [9], [2], [5], [1]])
    assert scores.knn_accuracy(features, np.array([0, 0, 0, 1, 1]), neighbours=1) == pytest.approx(4 / 5)
    # Two neighbours with a vote each: the more similar one decides, so nothing changes.
    assert scores.knn_accuracy(features, np.array([0, 0, 0, 1, 1]), neighbours=2) == pytest.approx(4 / 5)
    # Of four neighbours, all others: 2 to 2 for label 0, won by angle but at 50; label 1 loses 3 to 1.
    assert scores.knn_accuracy(features, np.array([0, 0, 0, 1, 1]), neighbours=4) == pytest.approx(2 / 5)


def test_knn_goes_through_the_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scores.knn_accuracy(NOISE, CLASSES)
    monkeypatch.setattr(scores, "BLOCK_ROWS", 7)
    assert scores.knn_accuracy(NOISE, CLASSES) == whole


@pytest.mark.parametrize("score", ALL, ids=lambda score: score.__name__)
def test_informed_features_score_higher(score: Callable[[np.ndarray, np.ndarray], float]) -> None:
    assert score(INFORMED, CLASSES) > score(NOISE, CLASSES)


@pytest.mark.parametrize("score", ALL, ids=lambda score: score.__name__)
def test_rotation_scale_and_the_names_of_labels_change_nothing(
    score: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    found = score(INFORMED, CLASSES)
    assert score(INFORMED @ ROTATION, CLASSES) == pytest.approx(found, abs=1e-6)
    assert score(INFORMED * 1000, CLASSES) == pytest.approx(found, abs=1e-6)
    assert score(INFORMED, np.array([7, 2, 4])[CLASSES]) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("score", ALL, ids=lambda score: score.__name__)
def test_features_without_content_are_no_error(score: Callable[[np.ndarray, np.ndarray], float]) -> None:
    assert math.isfinite(score(np.zeros((12, 4), dtype=np.float32), np.arange(12) % 3))


def test_scores_carry_their_names() -> None:
    found = scores.scores(INFORMED, CLASSES, seed=1)
    assert found == {
        "log_me": scores.log_me(INFORMED, CLASSES),
        "h_score": scores.h_score(INFORMED, CLASSES),
        "nleep": nleep(INFORMED, CLASSES),
        "knn": scores.knn_accuracy(INFORMED, CLASSES),
    }
