"""How an answer looks: logits -> label and probability. numpy alone, so that the server can use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answer:
    """One row's answer."""

    prediction: str
    probability: float


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64: (N, K) -> (N, K)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def answers(logits: np.ndarray, labels: Sequence[str]) -> list[Answer]:
    """Most probable label of each row; ties go to the first."""
    shares = probabilities(logits)
    best = shares.argmax(axis=-1)
    return [Answer(labels[k], float(shares[i, k])) for i, k in enumerate(best)]


def ranked(logits: np.ndarray, labels: Sequence[str], count: int) -> list[list[Answer]]:
    """The `count` most probable labels of each row, the most probable first; ties go to the first."""
    shares = probabilities(logits)
    places = np.argsort(-shares, axis=-1, kind="stable")[:, :count]
    return [[Answer(labels[k], float(row[k])) for k in best] for row, best in zip(shares, places, strict=True)]
