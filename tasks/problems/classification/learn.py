"""How classification is learned: linear head, loss, the solved head, the classical estimator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

# Logit of a label that no training row has: it is never answered, and its probability stays above 0.
ABSENT = -30.0
MAX_ITERATIONS = 2000
# Share of the largest spread under which a feature is constant but for rounding: standardised, that would be an answer.
CONSTANT = 1e-4


@dataclass(frozen=True)
class SolvedHead:
    """Linear head found by L-BFGS.

    Attributes:
        weight: (K, F).
        bias: (K,).
        inverse_regularisation: the C that cross-validation chose.
    """

    weight: np.ndarray
    bias: np.ndarray
    inverse_regularisation: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, F) -> (N, K)."""
        return np.asarray(features @ self.weight.T + self.bias)


def label_weights(classes: np.ndarray, count: int) -> np.ndarray:
    """Weight of each of K labels: all labels with rows get the same sum over N rows, and the rows a mean of 1.

    Args:
        classes: (N,) class numbers.
        count: K; a label without a row weighs 1.

    Source: King and Zeng 2001, Logistic Regression in Rare Events Data.
    """
    rows = np.bincount(classes, minlength=count)
    present = np.count_nonzero(rows)
    return np.where(rows > 0, len(classes) / (present * np.maximum(rows, 1)), 1.0)


def solve_head(
    features: np.ndarray, classes: np.ndarray, count: int, inverse_regularisation: float, balanced: bool = False
) -> SolvedHead:
    """Multinomial logistic regression on standardised features, with the scaling folded into the weights.

    Args:
        features: (N, F).
        classes: (N,) class numbers; a label may have no row.
        count: K.
        inverse_regularisation: C, above 0; the smaller, the stronger the L2 penalty.
        balanced: whether rows count by `label_weights`.
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > CONSTANT * scale.max(), scale, 1.0)
    present = np.unique(classes)
    weight = np.zeros((count, features.shape[1]), dtype=np.float64)
    bias = np.full(count, ABSENT)
    if len(present) == 1:
        bias[present] = 0.0
        return SolvedHead(weight, bias, inverse_regularisation)
    standardised = features - mean
    standardised /= scale
    model = LogisticRegression(
        C=inverse_regularisation, max_iter=MAX_ITERATIONS, class_weight="balanced" if balanced else None
    )
    # Matrices this small lose a factor of ten to two BLAS threads that wait for each other.
    with _linear_algebra().limit(limits=1):
        model.fit(standardised, classes)
    # With two classes scikit-learn keeps one row, the log odds of the second.
    solved = model.coef_ if len(present) > 2 else np.vstack([-model.coef_ / 2, model.coef_ / 2])
    offset = model.intercept_ if len(present) > 2 else np.concatenate([-model.intercept_ / 2, model.intercept_ / 2])
    weight[present] = solved / scale
    bias[present] = offset - weight[present] @ mean
    return SolvedHead(weight, bias, inverse_regularisation)


@cache
def _linear_algebra() -> ThreadpoolController:
    """Its libraries, all loaded by now: to look for them anew costs a quarter of a small head."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def folds(classes: np.ndarray, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stratified folds as (train, held out) positions; never more folds than the rarest label has rows, at least 2."""
    import warnings

    from sklearn.model_selection import KFold, StratifiedKFold

    _, sizes = np.unique(classes, return_counts=True)
    splits = max(2, min(count, int(sizes.min())))
    kind = StratifiedKFold if sizes.max() > 1 else KFold  # the former refuses one row a label
    with warnings.catch_warnings():
        # A label with one row is in one fold alone; the probe scores it as wrong, which is what it is.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(kind(splits, shuffle=True, random_state=seed).split(classes, classes))


def out_of_fold_logits(
    features: np.ndarray,
    classes: np.ndarray,
    count: int,
    inverse_regularisation: float,
    splits: int,
    seed: int,
    balanced: bool = False,
) -> np.ndarray:
    """(N, K) logits of each row by a head that was solved without it."""
    logits = np.empty((len(classes), count))
    for train, held_out in folds(classes, splits, seed):
        head = solve_head(features[train], classes[train], count, inverse_regularisation, balanced)
        logits[held_out] = head.logits(features[held_out])
    return logits


def classical_estimator(seed: int, balanced: bool = False) -> Any:
    """Unfitted scikit-learn classifier that the classical features go into; `balanced` as in `solve_head`."""
    from sklearn.linear_model import LogisticRegression

    weights = "balanced" if balanced else None
    return LogisticRegression(C=10.0, max_iter=MAX_ITERATIONS, random_state=seed, class_weight=weights)


def make_head(width: int, count: int) -> Any:
    """A linear head (N, F) -> (N, K) with PyTorch's default draw."""
    from torch import nn

    return nn.Linear(width, count)


def loss(logits: Any, classes: Any, weights: Any = None, smoothing: float = 0.0) -> Any:
    """Mean cross-entropy of logits (N, K) and class numbers (N,), each row's times its label's of K weights.

    The mean is over rows, not over their weights, so that the batches' losses add up to that of all rows.

    Args:
        logits: (N, K).
        classes: (N,) class numbers.
        weights: (K,) of the labels; None weighs all alike.
        smoothing: share of each target that is spread over all labels (Szegedy et al. 2016), in [0, 1].
    """
    from torch.nn.functional import cross_entropy

    if weights is None:
        return cross_entropy(logits, classes, label_smoothing=smoothing)
    return (cross_entropy(logits, classes, reduction="none", label_smoothing=smoothing) * weights[classes]).mean()
