"""Suspected wrong labels by confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning").

A label is believed of a row where its out-of-fold probability reaches the mean that rows with this label get; so a
label that the model is unsure of in general asks for less than one that it knows well. What is believed says how many
labels are wrong; which ones is told by the probability of the given label, which finds more of them (see LOG.md).
"""

from __future__ import annotations

import numpy as np


def limits(classes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Mean probability of each label over the rows that have it, (K,); infinite for a label without rows.

    Args:
        classes: (N,) given class numbers.
        shares: (N, K) probabilities, each row's by a model that has not learned from it.
    """
    count = shares.shape[1]
    own = _own(classes, shares)
    rows = np.bincount(classes, minlength=count)
    sums = np.bincount(classes, weights=own, minlength=count)
    return np.where(rows > 0, sums / np.maximum(rows, 1), np.inf)


def believed(shares: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Most probable label among those that reach their limit, (N,); -1 where none does."""
    reached = shares >= limits
    return np.where(reached.any(axis=1), np.where(reached, shares, -1.0).argmax(axis=1), -1)


def noise_share(classes: np.ndarray, believed: np.ndarray, count: int) -> float:
    """Estimated share of wrong labels: what is off the diagonal of the calibrated confident joint, in [0, 1].

    Args:
        classes: (N,) given class numbers.
        believed: (N,) as the function of that name gives it.
        count: K.
    """
    joint = np.zeros((count, count))
    sure = believed >= 0
    np.add.at(joint, (classes[sure], believed[sure]), 1)
    counted = joint.sum(axis=1)
    wrong = np.where(counted > 0, 1 - np.diag(joint) / np.maximum(counted, 1), 0.0)
    return float(wrong @ np.bincount(classes, minlength=count) / len(classes))


def ceiling(classes: np.ndarray, shares: np.ndarray, noise: float) -> float:
    """Probability of the given label up to which rows are suspected, so that as many are as there is noise.

    Args:
        classes: (N,) given class numbers.
        shares: (N, K) probabilities by models that have not learned from the row.
        noise: estimated share of wrong labels, in [0, 1].
    """
    own = np.sort(_own(classes, shares)[shares.argmax(axis=1) != classes])
    count = min(round(noise * len(classes)), len(own))
    return float(own[count - 1]) if count else -1.0


def suspects(classes: np.ndarray, shares: np.ndarray, ceiling: float) -> list[tuple[int, int, float]]:
    """Rows whose given label is no more probable than `ceiling`, nor the most probable, the least probable first.

    Args:
        classes: (N,) given class numbers.
        shares: (N, K) probabilities by a model that has not learned from the row.
        ceiling: as the function of that name gives it, for these rows or for those that the model learned from.

    Returns:
        Position, most probable class number, and probability of the given label.
    """
    own, best = _own(classes, shares), shares.argmax(axis=1)
    rows = np.flatnonzero((best != classes) & (own <= ceiling))
    return [(int(i), int(best[i]), float(own[i])) for i in rows[np.argsort(own[rows], kind="stable")]]


def _own(classes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.asarray(shares[np.arange(len(classes)), classes])
