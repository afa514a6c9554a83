"""How far one set of rows is from another, by features and by words: pure functions."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tasks import drift
from tasks.problems.classification.learn import out_of_fold_logits

FOLDS = 5
# Of each side: two a fold.
FEWEST_ROWS = 2 * FOLDS
TOO_FEW = f"How far test rows are from training rows is not told: that takes {FEWEST_ROWS} of each."
INVERSE_REGULARISATION = 0.01
DIVISIONS = 400
# A Chinese or Japanese character, which no space parts from the next, or a run of letters.
IDEOGRAPH = r"\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{IDEOGRAPH}]|[^\W{IDEOGRAPH}]+")
# Out of 2: under the first the two are nearly one, over the second a linear classifier hardly mistakes them.
NEAR, FAR = 0.4, 1.4


@dataclass(frozen=True)
class Discrepancy:
    """Squared maximum mean discrepancy of two samples.

    Attributes:
        value: at least 0.
        chance: share of random divisions of the same rows with at least as much, in (0, 1].
    """

    value: float
    chance: float


@dataclass(frozen=True)
class Overlap:
    """What two sets of texts have in common in words.

    Attributes:
        words: share of the target's words, each as often as it stands there, that the source has too.
        vocabulary: distinct words in both, as a share of those in either (Jaccard).
    """

    words: float
    vocabulary: float


def proxy_a_distance(source: np.ndarray, target: np.ndarray, seed: int) -> float:
    """2 (1 - 2 e), in [0, 2]: e is the cross-validated error of a linear classifier that tells the two apart.

    0 where it does no better than chance. The larger set gives as many rows as the smaller one has, so that chance is
    one half. Ben-David et al. 2007, Analysis of Representations for Domain Adaptation, section 5.

    Args:
        source: features (N, F).
        target: features (M, F).
        seed: of that draw and of the folds.
    """
    random, rows = np.random.default_rng(seed), min(len(source), len(target))
    both = np.concatenate([_draw(random, source, rows), _draw(random, target, rows)])
    domains = np.repeat([0, 1], rows)
    logits = out_of_fold_logits(both, domains, 2, INVERSE_REGULARISATION, FOLDS, seed)
    error = float((logits.argmax(axis=1) != domains).mean())
    return max(0.0, 2 * (1 - 2 * error))


def _draw(random: np.random.Generator, features: np.ndarray, rows: int) -> np.ndarray:
    return features[np.sort(random.choice(len(features), rows, replace=False))]


def discrepancy(source: np.ndarray, target: np.ndarray, seed: int) -> Discrepancy:
    """Squared maximum mean discrepancy, with the kernel that drift is measured by (Gretton et al. 2012).

    Args:
        source: features (N, F).
        target: features (M, F).
        seed: of the random divisions.
    """
    both = np.concatenate([source, target])
    deviation = both.std(axis=0)
    standard = (both - both.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    rows = drift.Rows(standard, np.zeros(len(both), dtype=np.int64), np.zeros(len(both)))
    order = np.random.default_rng(seed).random((DIVISIONS, len(both))).argsort(axis=1)
    inside = np.concatenate([np.arange(len(both))[None, :] < len(source), order < len(source)])
    found = drift.distances(rows, rows, inside, 1)[:, 0]
    # The division that was found counts as one of them (Phipson and Smyth 2010).
    return Discrepancy(max(0.0, float(found[0])), float((found >= found[0] - 1e-12).mean()))


def overlap(source: Iterable[str], target: Iterable[str]) -> Overlap:
    """What the target's texts share with the source's in words, case and compatibility forms folded."""
    known, asked = _words(source), _words(target)
    seen = sum(count for word, count in asked.items() if word in known)
    return Overlap(seen / max(asked.total(), 1), len(known.keys() & asked.keys()) / max(len(known.keys() | asked), 1))


def _words(texts: Iterable[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for text in texts:
        folded = unicodedata.normalize("NFKC", text).casefold()
        # Marks, such as those of vowels in Hindi, would part a word.
        words.update(WORD.findall("".join(one for one in folded if not unicodedata.category(one).startswith("M"))))
    return words


def record(a_distance: float, found: Discrepancy, words: Overlap | None) -> dict[str, Any]:
    """The three as plain JSON, rounded."""
    rounded = {name: round(value, 4) for name, value in asdict(found).items()}
    shared = words and {name: round(value, 4) for name, value in asdict(words).items()}
    return {"proxy_a_distance": round(a_distance, 4), "discrepancy": rounded, "overlap": shared}


def margin(a_distance: float, rows: int) -> float:
    """Half the width of the 95 % interval of a proxy A-distance, by the error rate of so many rows of each side."""
    error = (2 - a_distance) / 4
    return 1.96 * 4 * math.sqrt(error * (1 - error) / (2 * rows))


def in_words(found: Mapping[str, Any], source: str = "training rows", target: str = "test rows") -> str:
    """The reading of what `record` gave, of the target against the source, in a sentence."""
    distance, chance = found["proxy_a_distance"], found["discrepancy"]["chance"]
    told = f"a linear classifier tells one from the other in {50 + 25 * distance:.0f}% of cases, where 50% is chance"
    by = f"proxy A-distance {distance:.2f} of 2, maximum mean discrepancy {found['discrepancy']['value']:.4f}"
    rarely = f"which {chance:.1%} of random divisions reach"
    words = found["overlap"]
    shared = f"; {words['words']:.0%} of the words in {target} occur in {source}" if words else ""
    if distance < NEAR and chance > 0.05:
        verdict = "look like"
    elif distance < NEAR:
        verdict = "are a little unlike"
    else:
        verdict = "are far from" if distance > FAR else "are unlike"
    return f"{target.capitalize()} {verdict} {source}: {told} ({by}, {rarely}){shared}."
