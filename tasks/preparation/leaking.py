"""Terms whose presence alone nearly determines the label: a trace that the answer left in the example, or a keyword."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MIN_ROWS = 20  # fewer rows with a term prove nothing
MIN_PRECISION = 0.8
ERROR_RATE = 0.05  # of all terms together


@dataclass(frozen=True)
class Giveaway:
    """One term and the label that it gives away.

    Attributes:
        term: as the modality spells it.
        label: class number.
        rows: that have the term.
        precision: share of them that have the label.
        at_least: lower bound of that share for all rows to come, at 95 % for all terms together.
    """

    term: str
    label: int
    rows: int
    precision: float
    at_least: float


def giveaways(present: Any, terms: Sequence[str], classes: np.ndarray) -> list[Giveaway]:
    """Terms whose label is certain enough, the surest first; of terms within one another the surest alone.

    The bound is Clopper and Pearson's (1934), at an error rate that is divided among all terms with enough rows
    (Bonferroni), so that none of thousands of rare words is named by chance. A label that most rows have anyway is
    given away by what has it more often than they do.

    Args:
        present: (N, T) array or sparse matrix of 0 and 1.
        terms: T names.
        classes: (N,) class numbers.
    """
    shares = np.bincount(classes) / len(classes)
    measured = _measured(present, terms, classes)
    found = [one for one in measured if one.at_least >= max(MIN_PRECISION, shares[one.label])]
    found.sort(key=lambda one: (-one.at_least, one.term))
    kept: list[Giveaway] = []
    for one in found:
        if not any(one.label == other.label and _within(one.term, other.term) for other in kept):
            kept.append(one)
    return kept


def named(present: Any, terms: Sequence[str], labels: Sequence[str], classes: np.ndarray) -> list[Giveaway]:
    """Labels whose own name stands in examples that have them more often than by chance, most rows first.

    Args:
        present: (N, T) array or sparse matrix of 0 and 1: which name stands in which row.
        terms: T of the K labels.
        labels: K labels.
        classes: (N,) class numbers.
    """
    shares = np.bincount(classes, minlength=len(labels)) / len(classes)
    own = [one for one in _measured(present, terms, classes) if labels[one.label] == one.term]
    return sorted((one for one in own if one.at_least > shares[one.label]), key=lambda one: (-one.rows, one.term))


def _measured(present: Any, terms: Sequence[str], classes: np.ndarray) -> list[Giveaway]:
    """Every term with enough rows, and its commonest label."""
    from scipy.special import betaincinv

    enough = np.flatnonzero(_counts(present) >= MIN_ROWS)
    present = present[:, enough]
    rows, hits, labels = _counts(present), np.zeros(len(enough)), np.zeros(len(enough), dtype=int)
    for label in range(int(classes.max()) + 1):  # one at a time: millions of terms times a thousand labels are too many
        own = _counts(present[classes == label])
        labels[own > hits] = label
        hits = np.maximum(hits, own)
    bounds = betaincinv(hits, rows - hits + 1, ERROR_RATE / max(1, len(enough)))
    found = zip(enough.tolist(), labels.tolist(), rows, hits, bounds, strict=True)
    return [Giveaway(terms[t], label, int(n), float(hit / n), float(bound)) for t, label, n, hit, bound in found]


def _counts(present: Any) -> np.ndarray:
    """Rows that have each term, (T,)."""
    return np.asarray(present.sum(axis=0)).ravel()


def _within(one: str, other: str) -> bool:
    return f" {one} " in f" {other} " or f" {other} " in f" {one} "
