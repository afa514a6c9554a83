"""Scores of classifiers and their bootstrap intervals: pure functions of class numbers and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

SMALLEST = 1e-12
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Judged:
    """N answered rows, reduced to what every score needs, so that a resample costs one look-up per row.

    Attributes:
        classes: (N,) class numbers.
        predictions: (N,) most probable class numbers.
        losses: (N,) negative log probability of the right label, in nats.
        confidence: (N,) probability of the prediction.
        count: K.
    """

    classes: np.ndarray
    predictions: np.ndarray
    losses: np.ndarray
    confidence: np.ndarray
    count: int

    def take(self, rows: np.ndarray) -> Judged:
        """These rows, repeats included."""
        return Judged(self.classes[rows], self.predictions[rows], self.losses[rows], self.confidence[rows], self.count)


def judge(classes: np.ndarray, probabilities: np.ndarray) -> Judged:
    """Class numbers (N,) and probabilities (N, K) -> judged rows."""
    right = probabilities[np.arange(len(classes)), classes]
    return Judged(
        classes,
        probabilities.argmax(axis=1),
        -np.log(np.clip(right, SMALLEST, 1.0)),
        probabilities.max(axis=1),
        probabilities.shape[1],
    )


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % percentile interval."""

    value: float
    low: float
    high: float

    def record(self) -> dict[str, float]:
        """As JSON, to six digits."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def accuracy(judged: Judged) -> float:
    """Share of rows whose most probable label is the right one, in [0, 1]."""
    return float((judged.predictions == judged.classes).mean())


def f1_per_label(judged: Judged) -> list[float | None]:
    """F1 of each of K labels; None for a label without rows, whatever was predicted."""
    hits = np.bincount(judged.classes[judged.classes == judged.predictions], minlength=judged.count)
    actual = np.bincount(judged.classes, minlength=judged.count)
    predicted = np.bincount(judged.predictions, minlength=judged.count)
    scores = 2 * hits / np.maximum(actual + predicted, 1)
    return [float(score) if rows else None for score, rows in zip(scores, actual, strict=True)]


def macro_f1(judged: Judged) -> float:
    """Unweighted mean F1 of the labels that have rows, in [0, 1]."""
    return float(np.mean([score for score in f1_per_label(judged) if score is not None]))


def log_loss(judged: Judged) -> float:
    """Mean negative log probability of the right label, in nats."""
    return float(judged.losses.mean())


def calibration_error(judged: Judged) -> float:
    """Expected calibration error over 15 equal-width bins of confidence, in [0, 1].

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    right = judged.predictions == judged.classes
    bins = np.minimum((judged.confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - judged.confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(right))


METRICS: dict[str, Callable[[Judged], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "calibration_error": calibration_error,
}


@dataclass(frozen=True)
class Resamples:
    """`count` draws of `rows` row numbers with replacement, (rows,) each; the same at every pass, none kept."""

    rows: int
    count: int
    seed: int

    def __iter__(self) -> Iterator[np.ndarray]:
        random = np.random.default_rng(self.seed)
        for _ in range(self.count):
            yield random.integers(0, self.rows, size=self.rows, dtype=np.int32)


def estimates(judged: Judged, drawn: Iterable[np.ndarray]) -> dict[str, Estimate]:
    """Every score with its percentile bootstrap interval (Efron 1979).

    Args:
        judged: N >= 1 rows.
        drawn: B draws of N rows.
    """
    draws = [[function(sample) for function in METRICS.values()] for sample in map(judged.take, drawn)]
    bounds = np.quantile(draws, [0.025, 0.975], axis=0)
    return {
        name: Estimate(function(judged), float(bounds[0, i]), float(bounds[1, i]))
        for i, (name, function) in enumerate(METRICS.items())
    }


def paired_difference(metric: str, first: Judged, second: Judged, drawn: Iterable[np.ndarray]) -> Estimate:
    """Score of `first` minus score of `second` on the same N rows, with its paired bootstrap interval.

    Args:
        metric: a row of `METRICS`.
        first: one model's answers.
        second: another's, to the same rows in the same order.
        drawn: B draws of N rows.
    """
    function = METRICS[metric]
    draws = [function(first.take(rows)) - function(second.take(rows)) for rows in drawn]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(function(first) - function(second), float(low), float(high))
