"""What the task is and what the data are worth, as a record and in words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tasks.rows.clean import Clean
from tasks.rows.split import SPLITS


def analyse(clean: Clean, lengths: dict[str, np.ndarray], truncated: dict[str, int]) -> dict[str, Any]:
    """Record of task and data.

    Args:
        clean: rows after validation; statements about content use the training side alone.
        lengths: candidate -> (N,) encoded length of each training-side row that was scored.
        truncated: candidate -> how many of these lose something to the length limit.
    """
    training = clean.of("train", "validation")
    counts = Counter(row.label for row in training)
    shares = np.array(sorted(counts.values())) / len(training)
    return {
        "problem": "binary" if len(clean.labels) == 2 else "multi-class",
        "labels": len(clean.labels),
        "rows": {split: len(clean.of(split)) for split in SPLITS},
        "rows_per_label": {label: counts[label] for label in clean.labels},
        "labels_without_test_rows": sorted(set(clean.labels) - {row.label for row in clean.of("test")}),
        "balance": round(float(-(shares * np.log(shares)).sum() / np.log(len(clean.labels))), 4),
        "characters": _quantiles(np.array([len(row.input) for row in training])),
        "encoded_length": {name: _quantiles(values) for name, values in sorted(lengths.items())},
        "truncated_share": {name: round(count / len(lengths[name]), 4) for name, count in sorted(truncated.items())},
        "left_out_by_where": clean.left_out,
        "quarantined": len(clean.quarantined),
    }


def in_words(record: dict[str, Any]) -> list[str]:
    """The analysis in sentences, most important first."""
    rows, per_label = record["rows"], record["rows_per_label"]
    rarest, commonest = min(per_label, key=per_label.__getitem__), max(per_label, key=per_label.__getitem__)
    sentences = [
        f"A {record['problem']} problem with {record['labels']} labels: {rows['train']} rows to train on, "
        f"{rows['validation']} to steer by, {rows['test']} to judge by.",
        f"Rows per label go from {per_label[rarest]} ({rarest}) to {per_label[commonest]} ({commonest}); "
        f"balance {record['balance']:.2f} of 1.",
        f"Half of the examples have at most {record['characters']['median']} characters, the longest "
        f"{record['characters']['most']}.",
    ]
    for name, share in record["truncated_share"].items():
        longest = record["encoded_length"][name]["most"]
        sentences.append(f"{name} sees up to {longest} tokens and truncates {share:.1%} of the examples.")
    if record["quarantined"]:
        sentences.append(f"{record['quarantined']} rows are quarantined with their reasons.")
    if record["labels_without_test_rows"]:
        missing = ", ".join(record["labels_without_test_rows"])
        sentences.append(f"No test rows for {missing}: nothing can be said about {_them(record)}.")
    return sentences


def _them(record: dict[str, Any]) -> str:
    return "it" if len(record["labels_without_test_rows"]) == 1 else "them"


def _quantiles(values: np.ndarray) -> dict[str, int]:
    return {
        "least": int(values.min()),
        "median": int(np.median(values)),
        "p95": int(np.quantile(values, 0.95)),
        "most": int(values.max()),
    }
