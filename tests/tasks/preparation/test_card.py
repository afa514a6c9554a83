"""The data card: counts by hand, and no quarantined row without its reason."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.preparation.card import markdown, record
from tasks.rows.clean import Clean, Quarantined
from tests.factories import clean, row

FAULTS = [
    Quarantined("rows.csv", 12, "duplicate of row 3 of rows.csv", 'a "quoted"\ntext', "a"),
    Quarantined("rows.csv", 9, "duplicate of row 41 of rows.csv", "x", "b"),
    Quarantined("own.csv", 30, "empty label", "y", None),
]


@pytest.fixture
def found() -> Clean:
    rows = [row("1", "a", "train"), row("2", "a", "train"), row("3", "b", "validation"), row("4", "a", "test")]
    return clean(rows, FAULTS, left_out=7)


def test_the_record_by_hand(found: Clean) -> None:
    assert record(found, {"rows.csv": "hash"}) == {
        "source": {"rows.csv": "hash"},
        "rows": {"train": 2, "validation": 1, "test": 1},
        "rows_per_label": {
            "a": {"train": 2, "validation": 0, "test": 1},
            "b": {"train": 0, "validation": 1, "test": 0},
        },
        "left_out_by_where": 7,
        "quarantined": {"duplicate of row N": 2, "empty label": 1},
        "crossing_splits": 0,
        "near_duplicates_within": {"train": 0, "validation": 0, "test": 0},
    }


def test_content_in_two_splits_is_noticed() -> None:
    rows = [row("same", "a", "train"), row("SAME ", "a", "test"), row("own", "b", "test")]
    assert record(clean(rows), {})["crossing_splits"] == 1
    assert record(clean([row("same", "a", "test"), row("same", "a", "test")]), {})["crossing_splits"] == 0


def test_the_card_for_people(found: Clean) -> None:
    lines = markdown(record(found, {})).splitlines()
    for line in (
        "| train | 2 |",
        "Rows not kept by `data.where`: 7.",
        "Contents that stand in two splits: 0.",
        "- 2: duplicate of row N",
        "| a | 2 | 0 | 1 |",
    ):
        assert line in lines


def test_a_label_keeps_to_its_cell() -> None:
    made = record(clean([row("1", "Action|Comedy", "train"), row("2", "War", "test")]), {})
    assert r"| Action\|Comedy | 1 | 0 | 0 |" in markdown(made).splitlines()


def test_a_card_without_quarantine_says_so(found: Clean) -> None:
    assert "Nothing." in markdown(record(clean([*found.rows]), {})).splitlines()


def test_a_card_without_labels_counts_none(found: Clean) -> None:
    unlabelled = clean([dataclasses.replace(one, label=None) for one in found.rows])
    made = record(unlabelled, {})
    assert made["rows_per_label"] is None and made["rows"] == {"train": 2, "validation": 1, "test": 1}
    assert markdown(made).endswith("\nNo row has a label.\n")
