"""What is left out is told by kind and listed whole, and a source that loses too much is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.rows.clean import Quarantined
from tasks.rows.quarantine import REFUSED, refuse_too_many, write_quarantine
from tasks.rows.row import kind

FAULTS = [
    Quarantined("rows.csv", 12, "duplicate of row 3 of rows.csv", 'a "quoted"\ntext', "a"),
    Quarantined("rows.csv", 9, "duplicate of row 41 of rows.csv", "x", "b"),
    Quarantined("own.csv", 30, "empty label", "y", None),
]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("empty example", "empty example"),
        ("column 'sent' is no date in ISO 8601", "column 'sent' is no date in ISO 8601"),
        ("duplicate of test row 7 of own.jsonl", "duplicate of test row N"),
        (
            "label 'x 1' has 2 training rows, under data.min_rows_per_label 5",
            "label … has N training rows, under data.min_rows_per_label 5",
        ),
        ("has 21000 characters, over the limit of 20000", "has N characters, over the limit of 20000"),
        ("column 'age' is under the minimum 18", "column 'age' is under the minimum 18"),
        ("column 'day 2' is no date in ISO 8601", "column 'day 2' is no date in ISO 8601"),
    ],
)
def test_reasons_are_counted_by_kind(reason: str, expected: str) -> None:
    assert kind(reason) == expected


def listed(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_every_quarantined_row_is_listed_as_it_comes(tmp_path: Path) -> None:
    write_quarantine(tmp_path / "quarantine.csv", FAULTS)
    lines = listed(tmp_path / "quarantine.csv")
    assert lines[0] == ["file", "row", "reason", "input", "label"]
    assert [line[:2] for line in lines[1:]] == [["rows.csv", "12"], ["rows.csv", "9"], ["own.csv", "30"]]
    assert lines[1] == ["rows.csv", "12", "duplicate of row 3 of rows.csv", 'a "quoted"\ntext', "a"]


def test_a_source_that_loses_more_than_its_share_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        refuse_too_many(FAULTS, 11, 0.2, "rows.csv", tmp_path)
    assert caught.value.sentences == [
        "rows.csv: 3 of 14 rows would be quarantined, over data.max_quarantined_share 0.2 (2 of them: duplicate of row "
        "N; 1 of them: empty label): correct them or raise the share; nothing is lost, .graft/quarantine.csv lists "
        "each with its reason."
    ]
    assert caught.value.exit_code == 2
    assert len(listed(tmp_path / REFUSED)) == 1 + len(FAULTS)


def test_a_share_that_is_just_reached_is_no_refusal(tmp_path: Path) -> None:
    refuse_too_many(FAULTS, 12, 0.2, "rows.csv", tmp_path)
    assert list(tmp_path.iterdir()) == []
