"""What a release expects to see: a reference of its features, predictions and confidence, fitted once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SAMPLE_ROWS = 512


@dataclass(frozen=True)
class Reference:
    """Reference of one release, from rows that the training never saw.

    Attributes:
        features: (R, F) float32, at most 512 pooled features.
        label_shares: (K,) share of each predicted label.
        confidence: (R,) probability of each sampled row's prediction, sorted.
    """

    features: np.ndarray
    label_shares: np.ndarray
    confidence: np.ndarray

    def save(self, path: Path) -> None:
        """Write as .npz without pickled objects."""
        np.savez(path, features=self.features, label_shares=self.label_shares, confidence=self.confidence)


def load(path: Path) -> Reference:
    """Read what `Reference.save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Reference(arrays["features"], arrays["label_shares"], arrays["confidence"])


def fit(features: np.ndarray, probabilities: np.ndarray, seed: int) -> Reference:
    """Reference from pooled features (N, F) and probabilities (N, K)."""
    rows = np.arange(len(features))
    if len(rows) > SAMPLE_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SAMPLE_ROWS, replace=False))
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    return Reference(
        features=features[rows].astype(np.float32),
        label_shares=(predicted / len(features)).astype(np.float32),
        confidence=np.sort(probabilities[rows].max(axis=1)).astype(np.float32),
    )
