"""Transferability scores: how well features will separate the labels, without training anything; higher is better."""

from __future__ import annotations

import numpy as np

from tasks.metrics import SMALLEST

MAX_ITERATIONS = 200
TOLERANCE = 1e-9
# Li et al. 2021: five Gaussians per label, on the components that hold 80 % of the variance.
COMPONENTS_PER_LABEL, VARIANCE_KEPT = 5, 0.8
# Fewer rows to a Gaussian than this and each row is its own cluster, which says nothing.
ROWS_PER_COMPONENT = 5
GMM_ITERATIONS = 30
NEIGHBOURS = 5
BLOCK_ROWS = 1024


def log_me(features: np.ndarray, classes: np.ndarray) -> float:
    """Mean log evidence of the one-hot labels under a Bayesian linear model whose two precisions maximise it.

    The fixed-point iteration of the journal version, run until it stands still. Rotating or scaling the features
    changes nothing.

    Args:
        features: (N, F).
        classes: (N,) class numbers.

    Returns:
        Nats per row and label, averaged over the labels that have rows; unbounded.

    Source: You et al. 2021, LogME: Practical Assessment of Pre-trained Models for Transfer Learning; the iteration as
    in You et al. 2022, Ranking and Tuning Pre-trained Models.
    """
    left, singular = _svd(features.astype(np.float64))
    targets = (classes[:, None] == np.unique(classes)).astype(np.float64)
    inside = (left.T @ targets) ** 2
    outside = np.maximum((targets**2).sum(axis=0) - inside.sum(axis=0), 0.0)
    found = [_evidence(singular**2, inside[:, k], outside[k], len(classes)) for k in range(targets.shape[1])]
    return float(np.mean(found)) / len(classes)


def _svd(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors (N, R) and singular values (R,) of the R directions that are not rounding."""
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    kept = singular > (singular[0] if len(singular) else 0.0) * max(features.shape) * np.finfo(np.float64).eps
    return left[:, kept], singular[kept]


def _evidence(squares: np.ndarray, inside: np.ndarray, outside: float, rows: int) -> float:
    """Largest log evidence of one target.

    Args:
        squares: (R,) squared singular values of the features.
        inside: (R,) squared parts of the target along the left singular vectors.
        outside: squared part of the target that no feature reaches.
        rows: N.
    """
    ratio = 1.0  # alpha / beta: prior over noise precision
    for _ in range(MAX_ITERATIONS):
        alpha, beta, _, _ = _precisions(ratio, squares, inside, outside, rows)
        before, ratio = ratio, alpha / beta
        if abs(ratio - before) <= TOLERANCE * ratio:
            break
    alpha, beta, weights, residual = _precisions(ratio, squares, inside, outside, rows)
    return float(
        rows / 2 * np.log(beta / (2 * np.pi))
        - np.log1p(squares * beta / alpha).sum() / 2
        - beta * residual / 2
        - alpha * weights / 2
    )


def _precisions(
    ratio: float, squares: np.ndarray, inside: np.ndarray, outside: float, rows: int
) -> tuple[float, float, float, float]:
    """Next alpha and beta, the squared norm of the posterior mean and its squared residual."""
    shrunk = squares / (squares + ratio)
    effective = shrunk.sum()
    weights = (shrunk**2 / squares * inside).sum() if len(squares) else 0.0
    residual = ((1 - shrunk) ** 2 * inside).sum() + outside
    alpha = effective / max(weights, SMALLEST)
    beta = (rows - effective) / max(residual, SMALLEST)
    return max(alpha, SMALLEST), max(beta, SMALLEST), weights, residual


def h_score(features: np.ndarray, classes: np.ndarray) -> float:
    """Share of the features' variance that lies between the labels, summed over whitened directions.

    Their covariance is shrunk towards a multiple of the identity (Ledoit and Wolf 2004): else, with no more rows than
    features, every direction can be turned towards the labels and the score is K - 1 whatever the features say.
    Rotating or scaling the features changes nothing.

    Args:
        features: (N, F).
        classes: (N,) class numbers.

    Returns:
        In [0, K - 1].

    Source: Bao et al. 2019, An Information-Theoretic Approach to Transferability in Task Transfer Learning; shrunk by
    Ibrahim et al. 2022, Newer is not always better: Rethinking transferability metrics, their peculiarities, stability
    and performance.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    variances, between = _between(features, classes)
    if not len(variances):
        return 0.0
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    shrinkage = float(ledoit_wolf_shrinkage(centred / np.sqrt(variances.sum()), assume_centered=True))
    kept = (1 - shrinkage) * variances
    return float((kept / (kept + shrinkage * variances.sum() / features.shape[1]) * between).sum())


def _between(features: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance along each principal direction (R,), and the share of it that lies between the labels (R,)."""
    left, singular = _svd(features.astype(np.float64) - features.mean(axis=0, dtype=np.float64))
    between = np.zeros(len(singular))
    for label in np.unique(classes):
        own = left[classes == label]
        between += own.sum(axis=0) ** 2 / len(own)
    return singular**2 / len(features), between


def leep(source: np.ndarray, classes: np.ndarray) -> float:
    """Mean log likelihood of the labels, as told from the labels that the model was pre-trained on.

    Args:
        source: (N, Z) probabilities of the pre-training's labels; rows sum to 1.
        classes: (N,) class numbers.

    Returns:
        Nats per row, at most 0.

    Source: Nguyen et al. 2020, LEEP: A New Measure to Evaluate Transferability of Learned Representations.
    """
    labels, numbers = np.unique(classes, return_inverse=True)
    joint = np.stack([source[numbers == k].sum(axis=0) for k in range(len(labels))])
    conditional = joint / np.maximum(joint.sum(axis=0), SMALLEST)  # (K, Z): label given pre-training's label
    likelihood = (source * conditional[numbers]).sum(axis=1)
    return float(np.log(np.maximum(likelihood, SMALLEST)).mean())


def nleep(features: np.ndarray, classes: np.ndarray, seed: int) -> float:
    """LEEP with the clusters of a Gaussian mixture in place of the pre-training's labels.

    The Gaussians have diagonal covariances and at least `ROWS_PER_COMPONENT` rows each on average: with full ones and
    few rows each row becomes a cluster.

    Args:
        features: (N, F).
        classes: (N,) class numbers.
        seed: of the mixture's start.

    Returns:
        Nats per row, at most 0.

    Source: Li et al. 2021, Ranking Neural Checkpoints.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    left, singular = _svd(features.astype(np.float64) - features.mean(axis=0, dtype=np.float64))
    if not len(singular):
        return leep(np.ones((len(classes), 1)), classes)
    shares = np.cumsum(singular**2) / (singular**2).sum()
    kept = int(np.searchsorted(shares, VARIANCE_KEPT)) + 1
    scores = (left * singular)[:, :kept] / singular[0] * np.sqrt(len(features))
    count = min(COMPONENTS_PER_LABEL * len(np.unique(classes)), max(1, len(features) // ROWS_PER_COMPONENT))
    mixture = GaussianMixture(count, covariance_type="diag", max_iter=GMM_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a mixture that still moves a little scores as well
        mixture.fit(scores)
    return leep(mixture.predict_proba(scores), classes)


def knn_accuracy(features: np.ndarray, classes: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """Share of rows that their nearest other rows by cosine similarity vote right, leaving each row out in turn.

    Args:
        features: (N, F).
        classes: (N,) class numbers.
        neighbours: k; of equally many votes the label with the more similar rows wins.

    Returns:
        In [0, 1].

    Source: Cover and Hart 1967, Nearest Neighbor Pattern Classification.
    """
    labels, numbers = np.unique(classes, return_inverse=True)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1.0)
    k = min(neighbours, len(features) - 1)
    right = 0
    for start in range(0, len(features), BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, len(features)))
        similar = unit[rows] @ unit.T
        similar[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k] if k else np.empty((len(rows), 0), dtype=int)
        votes = np.zeros((len(rows), len(labels)))
        # A similarity is worth less than any vote, all of them together too.
        weight = 1 + (1 + np.take_along_axis(similar, nearest, axis=1)) / (2 * (k + 1))
        np.add.at(votes, (np.arange(len(rows))[:, None], numbers[nearest]), weight)
        right += int((votes.argmax(axis=1) == numbers[rows]).sum())
    return right / len(features)


def scores(features: np.ndarray, classes: np.ndarray, seed: int) -> dict[str, float]:
    """Every score that needs features (N, F) and class numbers (N,) alone, by name."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # as for the solved head: two threads wait for each other
        return {
            "log_me": log_me(features, classes),
            "h_score": h_score(features, classes),
            "nleep": nleep(features, classes, seed),
            "knn": knn_accuracy(features, classes),
        }
