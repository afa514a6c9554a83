"""What a person should look at: labels that look wrong, and terms that give a label away. Nothing is changed."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tasks.preparation import label_quality, leaking
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.rows.split import SPLITS
from tasks.words import cell

# Stronger than the frozen probe's: out-of-fold probabilities must be honest more than sharp.
INVERSE_REGULARISATION = 0.01
FOLDS = 5
MAX_TERM_ROWS = 100_000  # words are counted in at most as many rows
NAMED = 10  # terms on the card


@dataclass(frozen=True)
class Doubt:
    """One row whose label looks wrong.

    Attributes:
        position: among the prepared rows.
        suggested: class number that is believed instead.
        confidence: probability that the given label is wrong, in (0, 1].
    """

    position: int
    suggested: int
    confidence: float


def doubts(data: Prepared, features: np.ndarray, learn: ModuleType, seed: int) -> tuple[list[Doubt], float]:
    """Rows to review, the surest first, and the estimated share of wrong labels outside the test split.

    Rows outside it are judged by heads that have not learned from them; test rows by one that learned from all of
    those, and by their ceiling, so that no test row takes part in judging another row.

    Args:
        data: N rows of all splits.
        features: (N, F).
        learn: the problem's module of that name.
        seed: of the folds.
    """
    count, test = len(data.labels), np.array([split == "test" for split in data.splits])
    own, held = np.flatnonzero(~test), np.flatnonzero(test)
    classes = data.classes[own]
    logits = learn.out_of_fold_logits(features[own], classes, count, INVERSE_REGULARISATION, FOLDS, seed)
    shares = probabilities(logits)
    limits = label_quality.limits(classes, shares)
    noise = label_quality.noise_share(classes, label_quality.believed(shares, limits), count)
    ceiling = label_quality.ceiling(classes, shares, noise)
    head = learn.solve_head(features[own], classes, count, INVERSE_REGULARISATION)
    found = []
    for rows, of in ((own, shares), (held, probabilities(head.logits(features[held])))):
        suspects = label_quality.suspects(data.classes[rows], of, ceiling)
        found += [Doubt(int(rows[i]), k, 1 - share) for i, k, share in suspects]
    return sorted(found, key=lambda doubt: (-doubt.confidence, doubt.position)), noise


def review_csv(data: Prepared, places: Sequence[tuple[str, int]], found: Sequence[Doubt]) -> str:
    """The rows to review with their place and content; `places` as `prepared.places` gives them."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", "row", "split", "label", "suggested", "confidence", "input"])
    for doubt in found:
        i = doubt.position
        labels = data.labels[data.classes[i]], data.labels[doubt.suggested]
        writer.writerow([*places[i], data.splits[i], *labels, f"{doubt.confidence:.4f}", data.inputs[i]])
    return buffer.getvalue()


def record(data: Prepared, found: Sequence[Doubt], noise: float, classical: ModuleType) -> dict[str, Any]:
    """What the card and the report say; terms are those of rows outside the test split.

    Args:
        data: rows of all splits.
        found: rows to review.
        noise: estimated share of wrong labels.
        classical: the modality's module of that name.
    """
    per_split = Counter(data.splits[doubt.position] for doubt in found)
    rows = _spread(data.of("train", "validation"))
    words, names = classical.presence(rows), classical.presence(rows, data.labels)
    terms = None if words is None else leaking.giveaways(words[0], words[1], rows.classes)
    named = [] if names is None else leaking.named(names[0], names[1], data.labels, rows.classes)
    return {
        "suspected_labels": {split: per_split[split] for split in SPLITS},
        "label_noise": round(noise, 4),
        "giveaways": None if terms is None else [_told(one, data.labels) for one in terms[:NAMED]],
        "giveaways_found": None if terms is None else len(terms),
        "named_labels": [_told(one, data.labels) for one in named[:NAMED]],
    }


def _spread(rows: Prepared) -> Prepared:
    """At most MAX_TERM_ROWS rows, from all over."""
    if len(rows) <= MAX_TERM_ROWS:
        return rows
    return rows.at(np.linspace(0, len(rows) - 1, MAX_TERM_ROWS).astype(int).tolist())


def _told(one: leaking.Giveaway, labels: Sequence[str]) -> dict[str, Any]:
    told = asdict(one) | {"label": labels[one.label]}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}


def markdown(quality: dict[str, Any]) -> str:
    """The second part of the data card, for people."""
    suspected = quality["suspected_labels"]
    per_split = ", ".join(f"{count} {split}" for split, count in suspected.items())
    lines = ["# Data quality", "", "## Labels to review", ""]
    lines += [
        f"{sum(suspected.values())} rows have a label that looks wrong ({per_split}): `label_review.csv` lists them, "
        "the surest first. Nothing was changed.",
        f"Estimated share of wrong labels among training and validation rows: {quality['label_noise']:.1%}. What the "
        "frozen features cannot tell apart counts as wrong too, so that it is too high where they know little.",
        "A correction of test rows must not favour a model: correct what is wrong whichever answer it agrees with.",
    ]
    if quality["giveaways"] is not None:
        more = quality["giveaways_found"] - len(quality["giveaways"])
        lines += ["", "## Terms that nearly determine the label", ""]
        lines += [
            "A keyword of the subject may stay; a trace of the answer will be missing when the model is used.",
            "",
        ]
        lines += _table(quality["giveaways"]) if quality["giveaways"] else ["None."]
        lines += ["", f"And {more} more."] if more else []
    if quality["named_labels"]:
        lines += ["", "## Labels whose own name stands in their examples", "", *_table(quality["named_labels"])]
    return "\n".join(lines) + "\n"


def _table(found: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| term | label | rows | of them with the label | at least |", "|---|---|---|---|---|"]
    for one in found:
        share = f"{one['precision']:.1%} | {one['at_least']:.1%}"
        lines.append(f"| {cell(one['term'])} | {cell(one['label'])} | {one['rows']} | {share} |")
    return lines
