"""How well the frozen features of one depth and pool separate the labels: a cross-validated linear probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.metrics import SMALLEST
from tasks.problems.classification.answer import probabilities
from tasks.problems.classification.learn import out_of_fold_logits

# Strengths tried per feature set; the features are standardised, so the same two serve every depth.
INVERSE_REGULARISATION = (0.01, 0.1)
# From so many rows on the scores need no expectation beside them.
FEW_ROWS = 200


@dataclass(frozen=True)
class ProbeScore:
    """Out-of-fold scores.

    Attributes:
        accuracy: share of rows answered right.
        log_loss: mean, nats per row.
        standard_error: of the log loss, over rows.
    """

    accuracy: float
    log_loss: float
    standard_error: float


def score(features: np.ndarray, classes: np.ndarray, count: int, folds: int, seed: int) -> ProbeScore:
    """Score features (N, F) for class numbers (N,) of K labels.

    The log loss ranks: with few rows accuracy moves in steps of whole rows and ties often.
    """
    best: ProbeScore | None = None
    for strength in INVERSE_REGULARISATION:
        logits = out_of_fold_logits(features, classes, count, strength, folds, seed)
        right = logits.argmax(axis=1) == classes
        losses = -np.log(np.maximum(probabilities(logits)[np.arange(len(classes)), classes], SMALLEST))
        found = ProbeScore(
            float(right.mean()), float(losses.mean()), float(losses.std() / np.sqrt(max(len(losses), 1)))
        )
        if best is None or found.log_loss < best.log_loss:
            best = found
    assert best is not None
    return best


def off_typical(depth: float, typical: float | None, rows: int) -> float:
    """Distance of a depth from the one that serves few rows best as a rule; 0 where the rows speak for themselves.

    Args:
        depth: share of the blocks that are kept, in [0, 1].
        typical: such a share, None where there is no rule.
        rows: N.
    """
    return 0.0 if typical is None or rows >= FEW_ROWS else round(abs(depth - typical), 6)
