"""The analysis of task and data, by hand: content of the test split never enters it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tasks.rows.clean import Quarantined
from tasks.selection.analysis import Encoding, analyse, in_words
from tests.factories import clean, row

ROWS = [
    row("x" * 10, "a", "train"),
    row("x" * 20, "a", "train"),
    row("x" * 30, "a", "validation"),
    row("x" * 41, "b", "train"),
    row("x" * 999, "a", "test"),
]


def encodings(truncated: int | None = 1) -> dict[str, Encoding]:
    return {"path:m": Encoding("tokens", np.array([3, 5, 7, 8]), truncated)}


def test_the_record_by_hand() -> None:
    faults = [Quarantined("rows.csv", 9, "empty example", None, "a")]
    record = analyse(clean(ROWS, faults, left_out=4), "characters", encodings())
    balance = record.pop("balance")
    assert balance == pytest.approx(-(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)), abs=1e-4)
    assert record == {
        "problem": "binary",
        "labels": 2,
        "rows": {"train": 3, "validation": 1, "test": 1},
        "rows_per_label": {"a": 3, "b": 1},
        "labels_without_test_rows": ["b"],
        "unit": "characters",
        "size": {"least": 10, "median": 25, "p95": 39, "most": 41},
        "encoded": {
            "path:m": {"unit": "tokens", "least": 3, "median": 6, "p95": 7, "most": 8, "truncated_share": 0.25}
        },
        "left_out_by_where": 4,
        "quarantined": 1,
    }


def test_equal_labels_are_in_balance() -> None:
    rows = [row(f"{label}{i}", label, "train") for label in "abc" for i in range(2)]
    record = analyse(clean(rows), "characters", encodings())
    assert (record["balance"], record["problem"]) == (1.0, "multi-class")


def test_the_words_carry_the_figures() -> None:
    faults = [Quarantined("rows.csv", 9, "empty example", None, "a")]
    words = in_words(analyse(clean(ROWS, faults), "characters", encodings()))
    assert words[0].startswith("A binary problem with 2 labels: 3 rows to train on, 1 to steer by, 1 to judge by.")
    assert "from 1 (b) to 3 (a)" in words[1]
    assert "at most 25 characters, the largest 41" in words[2]
    assert words[3:] == [
        "path:m sees up to 8 tokens and truncates 25.0% of the examples.",
        "1 rows are quarantined with their reasons.",
        "No test rows for b: nothing can be said about it.",
    ]


def test_nothing_is_said_about_what_is_not_there() -> None:
    rows = [*ROWS, row("y", "b", "test")]
    words = in_words(analyse(clean(rows), "pixels", encodings(None)))
    assert len(words) == 4 and words[3] == "path:m sees up to 8 tokens."


def test_without_labels_nothing_is_said_of_how_they_are_spread() -> None:
    found = clean([dataclasses.replace(one, label=None) for one in ROWS])
    found = dataclasses.replace(found, labels=["a", "b", "c"])
    record = analyse(found, "characters", encodings())
    assert (record["labels"], record["rows_per_label"], record["balance"]) == (3, None, None)
    assert in_words(record)[:2] == [
        "A multi-class problem with 3 labels: 5 rows to answer.",
        "No row has a label: the labels are those that data.label_descriptions describes.",
    ]
