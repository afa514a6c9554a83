"""Declared rules: which row breaks which, the same in one batch and in many, and what refuses a source."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest

from tasks.errors import InputError
from tasks.params import Rule
from tasks.rows.rules import Inspection


def reasons(table: pa.Table, rules: dict[str, Rule]) -> list[str | None]:
    return Inspection("The table", rules).reasons(table)


def broken(values: list[Any], kind: pa.DataType | None = None, **rule: Any) -> list[str | None]:
    """Reasons of a table with the one column `a`, without its name."""
    table = pa.table({"a": pa.array(values, kind), "other": [0] * len(values)})
    return [reason and reason.removeprefix("column 'a' ") for reason in reasons(table, {"a": Rule(**rule)})]


@pytest.mark.parametrize(
    ("rule", "good", "bad", "reason"),
    [
        ({"type": "integer"}, ["1", "-5", "2.0", " 7 "], ["1.5", "x", "1_0", "inf", "nan"], "is no whole number"),
        ({"type": "number"}, ["1.5", "-1e3"], ["1,5", "true", "inf", "nan", "0x1f"], "is no number"),
        ({"type": "date"}, ["2024-02-29", "2024-01-01 10:30", "2024-01-01T10:30:00Z"], ["2023-02-29", "1.2.2024", "x"],
         "is no date in ISO 8601"),
        ({"type": "number", "minimum": 18}, ["18", "18.5"], ["17.9", "-1"], "is under the minimum 18"),
        ({"type": "integer", "maximum": 3}, ["3", "-9"], ["4", "1e9"], "is over the maximum 3"),
        ({"type": "date", "minimum": "2024-01-01"}, ["2024-01-01"], ["2023-12-31"], "is under the minimum 2024-01-01"),
        ({"type": "date", "maximum": "2024-01-01"}, ["2024-01-01 23:59"], ["2024-01-02"],
         "is over the maximum 2024-01-01"),
        ({"allowed": ["a", "b c", True]}, ["a", " b c ", "true"], ["A", "b  c", "True"],
         "has a value that is not allowed"),
        ({"type": "integer", "allowed": [1, 2]}, ["1", "2.0"], ["3"], "has a value that is not allowed"),
        ({"pattern": r"[A-Z]-\d+"}, ["A-12"], ["A-12 x", "a-12", "xA-12"], "does not fit its pattern"),
        ({"pattern": r"\w+(?<!x)"}, ["straße"], ["ax", "a b"], "does not fit its pattern"),
        ({"min_characters": 3}, ["añb", "abcd", "a text"], ["ab", "   ab  "], "is shorter than 3 characters"),
        ({"max_characters": 3}, ["abc", "  abc ", "a"], ["abcd"], "is longer than 3 characters"),
    ],
)  # fmt: skip
def test_a_row_breaks_its_rule_and_gaps_break_none(
    rule: dict[str, Any], good: list[str], bad: list[str], reason: str
) -> None:
    assert broken([*good, None, "", "  ", *bad], **rule) == [None] * (len(good) + 3) + [reason] * len(bad)


@pytest.mark.parametrize(
    ("values", "kind", "rule", "expected"),
    [
        ([1.0, float("nan"), 2.5], pa.float64(), {"type": "integer"}, [None, None, "is no whole number"]),
        ([2**62, 5], pa.int64(), {"type": "integer", "maximum": 10}, ["is over the maximum 10", None]),
        ([True, False], pa.bool_(), {"allowed": [True]}, [None, "has a value that is not allowed"]),
        ([date(2024, 1, 1), None], pa.date32(), {"type": "date"}, [None, None]),
        ([datetime(2024, 1, 1, 9), datetime(2025, 1, 1)], pa.timestamp("us"),
         {"type": "date", "maximum": "2024-01-01"}, [None, "is over the maximum 2024-01-01"]),
        (["a", "b"], pa.dictionary(pa.int8(), pa.string()), {"allowed": ["a"]},
         [None, "has a value that is not allowed"]),
        ([None, None], pa.null(), {"type": "number", "minimum": 0}, [None, None]),
    ],
)  # fmt: skip
def test_columns_that_their_file_types_keep_the_same_rules(
    values: list[Any], kind: pa.DataType, rule: dict[str, Any], expected: list[str | None]
) -> None:
    assert broken(values, kind, **rule) == expected


def test_the_first_row_with_a_value_stays_unless_it_breaks_another_rule() -> None:
    table = pa.table({"id": ["1", "1", " 1 ", None, "2", None], "n": ["x", "3", "4", "5", "6", "7"]})
    rules = {"id": Rule(unique=True), "n": Rule(type="number")}
    again = "column 'id' repeats a value of an earlier row"
    assert reasons(table, rules) == ["column 'n' is no number", None, again, None, None, None]


def test_a_row_that_breaks_two_rules_names_the_first() -> None:
    table = pa.table({"a": ["x"], "b": ["y"]})
    rules = {"b": Rule(type="number"), "a": Rule(pattern="z", max_characters=1)}
    assert reasons(table, rules) == ["column 'b' is no number"]
    assert reasons(table, {"a": rules["a"]}) == ["column 'a' does not fit its pattern"]


def test_many_batches_tell_what_one_does() -> None:
    values = [str(i * i % 41) if i % 7 else None for i in range(100)]
    table = pa.table({"a": values, "b": [str(i % 13) for i in range(100)]})
    rules = {"a": Rule(unique=True), "b": Rule(type="integer", minimum=2)}
    inspection = Inspection("rows.csv", rules)
    found = [reason for batch in table.to_batches(max_chunksize=9) for reason in inspection.reasons(batch)]
    assert found == reasons(table, rules)
    assert {reason for reason in found if reason} == {
        "column 'a' repeats a value of an earlier row", "column 'b' is under the minimum 2"
    }  # fmt: skip


def test_more_gaps_than_allowed_refuse_the_source_over_all_its_batches() -> None:
    rules = {"a": Rule(max_missing_share=0.25), "b": Rule(max_missing_share=0.5)}
    inspection = Inspection("rows.csv", rules)
    inspection.reasons(pa.table({"a": ["x", "y", "z"], "b": ["x", None, "z"]}))
    inspection.refuse_gaps()
    inspection.reasons(pa.table({"a": [None, " "], "b": ["x", ""]}))
    with pytest.raises(InputError) as caught:
        inspection.refuse_gaps()
    assert caught.value.sentences == [
        "rows.csv: column 'a' is empty in 2 of 5 rows, over data.rules.a.max_missing_share 0.25: fill it or raise the "
        "share."
    ]


@pytest.mark.parametrize("values", [pa.array([[1], [2]]), pa.array([b"\xff\xfe", b"a"])])
def test_a_column_that_no_rule_can_read_is_refused(values: pa.Array) -> None:
    with pytest.raises(InputError, match=r"rows\.csv: column 'a' holds .* that cannot be read as text: .*data\.rules"):
        Inspection("rows.csv", {"a": Rule(type="number")}).reasons(pa.table({"a": values}))


def test_without_rules_every_row_passes_and_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandera", None)
    assert reasons(pa.table({"a": ["x"]}), {}) == [None]
