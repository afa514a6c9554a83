"""What a release expects to see, fitted once, and how far a window of answers is from it: pure functions.

Two samples are compared in three ways: their features by the maximum mean discrepancy (Gretton et al. 2012), their
predicted labels by the total variation distance, their confidence by the Kolmogorov-Smirnov statistic. A limit for each
is read off windows that are drawn from the reference itself, where nothing has drifted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

MEASURES = ("features", "predictions", "confidence")
SAMPLE_ROWS = 512
DIMENSIONS = 32
NO_DRIFT_WINDOWS = 10_000
# Fewer say nothing about windows without drift.
FEWEST_ROWS = 20
# So many windows are drawn at once: memory is this times `SAMPLE_ROWS` numbers.
DRAWN_AT_ONCE = 1_000


@dataclass(frozen=True)
class Rows:
    """Answers as drift sees them.

    Attributes:
        features: (N, P) float32, projected.
        predicted: (N,) numbers of the predicted labels.
        confidence: (N,) probabilities of the predictions.
    """

    features: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray

    def __len__(self) -> int:
        return len(self.predicted)


@dataclass(frozen=True)
class Reference:
    """What one release answered to rows that its training never saw, and the limits that follow.

    Attributes:
        projection: (F, P) float32, from a pooled feature to what is compared and logged.
        offset: (P,) float32, taken off after it.
        rows: at most 512 answers.
        labels: K.
        window_rows: rows of a window that the limits are for.
        limits: of each of `MEASURES`, in its order; a window above any of them is an alarm. Infinite where there are
            under 20 rows.
    """

    projection: np.ndarray
    offset: np.ndarray
    rows: Rows
    labels: int
    window_rows: int
    limits: np.ndarray

    def project(self, pooled: np.ndarray) -> np.ndarray:
        """Pooled features (N, F) -> (N, P) float32."""
        return np.asarray(pooled @ self.projection - self.offset, dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write as .npz without pickled objects."""
        fields = vars(self) | asdict(self.rows)
        np.savez(path, **{name: value for name, value in fields.items() if name != "rows"})


def load(path: Path) -> Reference:
    """Read what `Reference.save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        rows = Rows(*(arrays[name] for name in ("features", "predicted", "confidence")))
        return Reference(
            arrays["projection"],
            arrays["offset"],
            rows,
            int(arrays["labels"]),
            int(arrays["window_rows"]),
            arrays["limits"],
        )


def fit(
    pooled: np.ndarray, probabilities: np.ndarray, window_rows: int, false_alarm_rate: float, seed: int
) -> Reference:
    """Reference of a release.

    Args:
        pooled: (N, F) pooled features of rows that the training never saw.
        probabilities: (N, K).
        window_rows: rows of a window; at most half of the reference, so that one can be set against the rest.
        false_alarm_rate: share of windows without drift that may raise an alarm, in (0, 1).
        seed: of the sample, the projection and the windows.
    """
    random = np.random.default_rng(seed)
    kept = np.arange(len(pooled))
    if len(kept) > SAMPLE_ROWS:
        kept = np.sort(random.choice(kept, SAMPLE_ROWS, replace=False))
    projection = _projection(pooled, random)
    offset = pooled.mean(axis=0) @ projection
    features = np.asarray(pooled[kept] @ projection - offset, dtype=np.float32)
    rows = Rows(features, probabilities[kept].argmax(axis=1), probabilities[kept].max(axis=1).astype(np.float32))
    window, labels = min(window_rows, max(1, len(kept) // 2)), probabilities.shape[1]
    limits = _limits(rows, labels, window, false_alarm_rate, random)
    return Reference(projection, offset.astype(np.float32), rows, labels, window, limits)


def _limits(rows: Rows, labels: int, window: int, false_alarm_rate: float, random: np.random.Generator) -> np.ndarray:
    if len(rows) < FEWEST_ROWS:
        return np.full(len(MEASURES), np.inf)
    drawn = [
        distances(rows, rows, _windows(random, DRAWN_AT_ONCE, len(rows), window), labels)
        for _ in range(NO_DRIFT_WINDOWS // DRAWN_AT_ONCE)
    ]
    # Bonferroni: the three together stay under the rate.
    level = 1 - false_alarm_rate / len(MEASURES)
    return np.asarray(np.quantile(np.concatenate(drawn), level, axis=0, method="higher"))


def _projection(pooled: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Standardised, then at random to P numbers, which keeps distances (Johnson and Lindenstrauss 1984): (F, P)."""
    deviation = pooled.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation, dtype=np.float64), where=deviation > 0)
    drawn = random.standard_normal((pooled.shape[1], DIMENSIONS)) / np.sqrt(DIMENSIONS)
    return np.asarray(scale[:, None] * drawn, dtype=np.float32)


def _windows(random: np.random.Generator, count: int, rows: int, window: int) -> np.ndarray:
    """(count, rows) booleans, `window` of them true in each line."""
    order = random.random((count, rows)).argsort(axis=1)
    inside = np.zeros((count, rows), dtype=bool)
    np.put_along_axis(inside, order[:, :window], True, axis=1)
    return inside


def judge(reference: Reference, window: Rows) -> dict[str, float]:
    """Distance of a window from the reference by each of `MEASURES`.

    Args:
        reference: of the release that answered.
        window: `reference.window_rows` of its answers.
    """
    both = Rows(
        np.concatenate([window.features, reference.rows.features]),
        np.concatenate([window.predicted, reference.rows.predicted]),
        np.concatenate([window.confidence, reference.rows.confidence]),
    )
    inside = np.arange(len(both))[None, :] < len(window)
    found = distances(both, reference.rows, inside, reference.labels)[0]
    return {name: round(float(value), 6) for name, value in zip(MEASURES, found, strict=True)}


def alarms(reference: Reference, found: dict[str, float]) -> list[str]:
    """The measures by which a window is farther away than its limit allows."""
    return [name for name, limit in zip(MEASURES, reference.limits, strict=True) if found[name] > limit]


def distances(rows: Rows, scale: Rows, inside: np.ndarray, labels: int) -> np.ndarray:
    """How far the rows inside differ from those outside, for B divisions of the same N rows.

    Args:
        rows: N answers.
        scale: answers whose median distance is the width of the kernel.
        inside: (B, N) booleans.
        labels: K.

    Returns:
        (B, 3): squared maximum mean discrepancy, total variation distance, Kolmogorov-Smirnov statistic.
    """
    inner = inside / inside.sum(axis=1, keepdims=True)
    outer = ~inside / (~inside).sum(axis=1, keepdims=True)
    contrast = inner - outer
    kernel = np.exp(-_squared_distances(rows.features) / _width(scale.features))
    discrepancy = np.einsum("bn,bn->b", contrast @ kernel, contrast)
    shares = contrast @ np.eye(labels)[rows.predicted]
    # Rows of equal confidence are passed together.
    order = np.argsort(rows.confidence, kind="stable")
    last = np.append(np.diff(rows.confidence[order]) > 0, True)
    steps = contrast[:, order].cumsum(axis=1)[:, last]
    return np.stack([discrepancy, np.abs(shares).sum(axis=1) / 2, np.abs(steps).max(axis=1)], axis=1)


def _squared_distances(features: np.ndarray) -> np.ndarray:
    values = features.astype(np.float64)
    norms = (values**2).sum(axis=1)
    return np.asarray(np.maximum(norms[:, None] + norms[None, :] - 2 * values @ values.T, 0))


def _width(features: np.ndarray) -> float:
    """Median squared distance, the usual width of the kernel (Gretton et al. 2012, section 8)."""
    apart = _squared_distances(features)[np.triu_indices(len(features), 1)]
    return max(float(np.median(apart)), float(np.finfo(np.float64).tiny))
