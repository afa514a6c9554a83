"""What the task is and what the data are worth, as a record and in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.rows.clean import Clean
from tasks.rows.split import SPLITS


@dataclass(frozen=True)
class Encoding:
    """What an encoder made of the scored rows.

    Attributes:
        unit: what a length counts.
        lengths: (N,) of the encoded rows.
        truncated: how many of them lost something to a limit; None where there is no limit.
    """

    unit: str
    lengths: np.ndarray
    truncated: int | None


def analyse(clean: Clean, unit: str, encodings: dict[str, Encoding]) -> dict[str, Any]:
    """Record of task and data.

    Args:
        clean: rows after validation; statements about content use the training side alone.
        unit: what an example's size counts.
        encodings: candidate -> what its encoder made of the training-side rows that were scored.
    """
    training = clean.of("train", "validation")
    counts = training.per_label() if clean.labelled else None
    return {
        "problem": "binary" if len(clean.labels) == 2 else "multi-class",
        "labels": len(clean.labels),
        "rows": {split: len(clean.of(split)) for split in SPLITS},
        "rows_per_label": None if counts is None else {label: counts[label] for label in clean.labels},
        "labels_without_test_rows": counts and sorted(set(clean.labels) - {*clean.of("test").per_label()}),
        "balance": None if counts is None else _balance(counts, len(clean.labels)),
        "unit": unit,
        "size": _quantiles(training.sizes),
        "encoded": {
            name: {"unit": one.unit, **_quantiles(one.lengths), "truncated_share": _share(one)}
            for name, one in sorted(encodings.items())
        },
        "left_out_by_where": clean.left_out,
        "quarantined": len(clean.quarantined),
    }


def _balance(counts: Counter[str], labels: int) -> float:
    """Entropy of the labels' shares, as a share of its maximum."""
    shares = np.array(sorted(counts.values())) / counts.total()
    return round(float(-(shares * np.log(shares)).sum() / np.log(labels)), 4)


def in_words(record: dict[str, Any]) -> list[str]:
    """The analysis in sentences, most important first."""
    sentences = [
        f"A {record['problem']} problem with {record['labels']} labels: {_uses(record)}.",
        _per_label(record),
        f"Half of the examples have at most {record['size']['median']} {record['unit']}, the largest "
        f"{record['size']['most']}.",
    ]
    for name, one in record["encoded"].items():
        cut = "" if one["truncated_share"] is None else f" and truncates {one['truncated_share']:.1%} of the examples"
        sentences.append(f"{name} sees up to {one['most']} {one['unit']}{cut}.")
    if record["quarantined"]:
        sentences.append(f"{record['quarantined']} rows are quarantined with their reasons.")
    if record["labels_without_test_rows"]:
        missing = ", ".join(record["labels_without_test_rows"])
        sentences.append(f"No test rows for {missing}: nothing can be said about {_them(record)}.")
    return sentences


def _uses(record: dict[str, Any]) -> str:
    rows = record["rows"]
    if record["rows_per_label"] is None:
        return f"{sum(rows.values())} rows to answer"
    return f"{rows['train']} rows to train on, {rows['validation']} to steer by, {rows['test']} to judge by"


def _per_label(record: dict[str, Any]) -> str:
    per_label = record["rows_per_label"]
    if per_label is None:
        return "No row has a label: the labels are those that data.label_descriptions describes."
    rarest, commonest = min(per_label, key=per_label.__getitem__), max(per_label, key=per_label.__getitem__)
    return (
        f"Rows per label go from {per_label[rarest]} ({rarest}) to {per_label[commonest]} ({commonest}); "
        f"balance {record['balance']:.2f} of 1."
    )


def _them(record: dict[str, Any]) -> str:
    return "it" if len(record["labels_without_test_rows"]) == 1 else "them"


def _share(encoding: Encoding) -> float | None:
    return None if encoding.truncated is None else round(encoding.truncated / len(encoding.lengths), 4)


def _quantiles(values: np.ndarray) -> dict[str, int]:
    return {
        "least": int(values.min()),
        "median": int(np.median(values)),
        "p95": int(np.quantile(values, 0.95)),
        "most": int(values.max()),
    }
