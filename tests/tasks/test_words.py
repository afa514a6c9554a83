"""One row is no rows, a list of names has one and, and whole numbers are told whole."""

from __future__ import annotations

from tasks.words import counted, listed, valued


def test_one_is_singular_and_none_is_not() -> None:
    assert [counted(count, "new row") for count in (0, 1, 2)] == ["0 new rows", "1 new row", "2 new rows"]


def test_names_are_listed_with_one_and() -> None:
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_values_are_told_to_three_digits_and_counts_whole() -> None:
    assert valued({"learning_rate": 0.00012345, "batch_rows": 1024}) == "batch rows 1024, learning rate 0.000123"
