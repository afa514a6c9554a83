"""How well the frozen features of one depth and pool separate the labels: a cross-validated linear probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks import metrics
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

    def tried(strength: float) -> ProbeScore:
        logits = out_of_fold_logits(features, classes, count, strength, folds, seed)
        judged = metrics.judge(classes, probabilities(logits))
        error = float(judged.losses.std() / np.sqrt(len(classes)))
        return ProbeScore(metrics.accuracy(judged), metrics.log_loss(judged), error)

    return min(map(tried, INVERSE_REGULARISATION), key=lambda one: one.log_loss)


def off_typical(depth: float, typical: float | None, rows: int) -> float:
    """Distance of a depth from the one that serves few rows best as a rule; 0 where the rows speak for themselves.

    Args:
        depth: share of the blocks that are kept, in [0, 1].
        typical: such a share, None where there is no rule.
        rows: N.
    """
    return 0.0 if typical is None or rows >= FEW_ROWS else round(abs(depth - typical), 6)
