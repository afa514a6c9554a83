"""Labels of unequal size, made equal on the training side: which rows an epoch has, and what its loss is judged by."""

from __future__ import annotations

import numpy as np

from tasks import metrics
from tasks.metrics import Judged


def resampled(classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """N row positions in random order, with as many of each label as N allows.

    A label with fewer rows has each of them as often as the others, but for one; of a label with more, other rows are
    left out each time.

    Args:
        classes: (N,) class numbers.
        random: draws.
    """
    labels = random.permutation(np.unique(classes))
    wanted = len(classes) // len(labels) + (np.arange(len(labels)) < len(classes) % len(labels))
    chosen = []
    for label, count in zip(labels, wanted, strict=True):
        rows = np.flatnonzero(classes == label)
        times, rest = divmod(int(count), len(rows))
        chosen += [np.tile(rows, times), random.choice(rows, rest, replace=False)]
    return random.permutation(np.concatenate(chosen))


def validation_loss(judged: Judged, weights: np.ndarray | None) -> float:
    """Mean log loss in nats, each row's by its label's weight: what steers a training is what it minimises.

    Args:
        judged: rows that are not learned from.
        weights: (K,) as the training has them; None weighs all alike.
    """
    if weights is None:
        return metrics.log_loss(judged)
    return float(np.average(judged.losses, weights=weights[judged.classes]))
