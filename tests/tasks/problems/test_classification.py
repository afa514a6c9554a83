"""Answers by hand, and the solved head against scikit-learn's own predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.problems.classification import learn
from tasks.problems.classification.answer import Answer, answers, probabilities, ranked


def toy(count: int, rows: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Blobs around the corners of a simplex, on scales that differ by a factor of a thousand."""
    draw = np.random.default_rng(0)
    classes = np.arange(rows) % count
    features = np.eye(count)[classes] * 5 + draw.normal(size=(rows, count))
    return features * np.logspace(0, 3, count), classes


def test_softmax_by_hand() -> None:
    assert probabilities(np.array([[0, math.log(3)]])).tolist() == [[pytest.approx(0.25), pytest.approx(0.75)]]


def test_softmax_survives_large_logits_and_sums_to_one_in_float64() -> None:
    found = probabilities(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], dtype=np.float32))
    assert found.dtype == np.float64 and found.tolist() == [[1, 0], [0.5, 0.5]]


def test_answers_name_the_most_probable_label_and_ties_go_to_the_first() -> None:
    found = answers(np.array([[0, math.log(3)], [2, 2]]), ["no", "yes"])
    assert found == [Answer("yes", pytest.approx(0.75)), Answer("no", 0.5)]


def test_labels_are_ranked_by_probability_and_ties_stay_in_their_order() -> None:
    logits = np.array([[0, math.log(3), 0], [1, 1, 1]])
    first, tied = ranked(logits, ["a", "b", "c"], 2)
    assert first == [Answer("b", pytest.approx(0.6)), Answer("a", pytest.approx(0.2))]
    assert [answer.prediction for answer in tied] == ["a", "b"]
    assert [len(row) for row in ranked(logits, ["a", "b", "c"], 9)] == [3, 3]


@pytest.mark.parametrize("count", [2, 3])
def test_a_solved_head_on_raw_features_equals_the_estimator_on_standardised_ones(count: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, classes = toy(count)
    head = learn.solve_head(features, classes, count, 0.5)
    scaled = StandardScaler().fit_transform(features)
    expected = LogisticRegression(C=0.5, max_iter=2000).fit(scaled, classes).predict_proba(scaled)
    assert np.allclose(probabilities(head.logits(features)), expected, atol=1e-6)
    assert (head.weight.shape, head.bias.shape, head.inverse_regularisation) == ((count, count), (count,), 0.5)
    assert (expected.argmax(axis=1) == classes).mean() > 0.9


def test_weights_of_labels_by_hand() -> None:
    found = learn.label_weights(np.array([0, 0, 0, 1]), 3)
    assert found.tolist() == pytest.approx([2 / 3, 2, 1]), "as much for each label, 1 for one without rows"


def test_a_balanced_head_equals_the_weighted_estimator() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, classes = toy(3)
    rare = np.concatenate([np.flatnonzero(classes != 2), np.flatnonzero(classes == 2)[:2]])
    features, classes = features[rare], classes[rare]
    head = learn.solve_head(features, classes, 3, 0.5, balanced=True)
    scaled = StandardScaler().fit_transform(features)
    weights = learn.label_weights(classes, 3)[classes]
    expected = LogisticRegression(C=0.5, max_iter=2000).fit(scaled, classes, weights).predict_proba(scaled)
    assert np.allclose(probabilities(head.logits(features)), expected, atol=1e-5)
    assert not np.allclose(head.weight, learn.solve_head(features, classes, 3, 0.5).weight)


def test_a_constant_feature_does_no_harm() -> None:
    features, classes = toy(2)
    head = learn.solve_head(np.hstack([features, np.full((30, 1), 7.0)]), classes, 2, 0.5)
    assert np.isfinite(head.weight).all() and head.weight[:, 2].tolist() == [0, 0]


def test_an_absent_label_is_never_answered() -> None:
    features, classes = toy(2)
    head = learn.solve_head(features, classes * 2, 3, 1.0)  # labels 0 and 2 have rows, 1 has none
    found = head.logits(features)
    assert (found[:, 1] == learn.ABSENT).all() and set(found.argmax(axis=1)) == {0, 2}
    assert (probabilities(found)[:, 1] > 0).all()


def test_one_label_alone_is_always_answered() -> None:
    head = learn.solve_head(np.ones((4, 2)), np.full(4, 1), 3, 1.0)
    assert head.logits(np.zeros((2, 2))).tolist() == [[learn.ABSENT, 0.0, learn.ABSENT]] * 2


@pytest.mark.parametrize(("sizes", "asked", "made"), [((6, 6), 5, 5), ((6, 3), 5, 3), ((6, 1), 5, 2), ((1, 1), 5, 2)])
def test_there_are_no_more_folds_than_the_rarest_label_has_rows(sizes: tuple[int, int], asked: int, made: int) -> None:
    classes = np.repeat([0, 1], sizes)
    found = learn.folds(classes, asked, 0)
    assert len(found) == made
    assert sorted(np.concatenate([held for _, held in found])) == list(range(len(classes)))


def test_out_of_fold_logits_come_from_a_head_that_never_saw_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[float]] = []

    class Head:
        def __init__(self, rows: np.ndarray) -> None:
            self.rows = {float(value) for value in rows[:, 0]}

        def logits(self, features: np.ndarray) -> np.ndarray:
            assert self.rows.isdisjoint(features[:, 0].tolist())
            seen.append(set(features[:, 0].tolist()))
            return np.hstack([features, features])

    def solve_head(features: np.ndarray, classes: np.ndarray, count: int, c: float, balanced: bool) -> Head:
        assert balanced
        return Head(features)

    monkeypatch.setattr(learn, "solve_head", solve_head)
    features = np.arange(20.0)[:, None]
    found = learn.out_of_fold_logits(features, np.arange(20) % 2, 2, 1.0, 4, 0, balanced=True)
    assert len(seen) == 4 and found.tolist() == np.hstack([features, features]).tolist()


def test_torch_loss_is_the_mean_negative_log_probability() -> None:
    import torch

    found = learn.loss(torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]), torch.tensor([1, 0]))
    assert float(found) == pytest.approx((-math.log(0.75) + math.log(2)) / 2)
    weighted = learn.loss(
        torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]), torch.tensor([1, 0]), torch.tensor([3.0, 1.0])
    )
    assert float(weighted) == pytest.approx((-math.log(0.75) + 3 * math.log(2)) / 2), "over rows, not over weights"
    assert learn.make_head(3, 2).weight.shape == (2, 3)


def test_a_feature_that_is_constant_but_for_rounding_gets_no_weight() -> None:
    random = np.random.default_rng(3)
    classes = np.arange(60) % 2
    features = random.normal(size=(60, 4)) + 2 * np.eye(2, 4)[classes]
    dead = np.column_stack([features, 0.5 + 1e-7 * random.normal(size=60)])
    head, without = (learn.solve_head(values, classes, 2, 1.0) for values in (dead, features))
    assert abs(head.weight[:, 4]).max() < 1e-3, "standardised, it would have thousands"
    np.testing.assert_allclose(head.logits(dead), without.logits(features), atol=1e-3)
