"""Labels that are no classes are told, and those that are stay in peace."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.errors import InputError
from tasks.rows.kind import kind_of, refuse_other_problem
from tests.factories import params

PRICES = [f"{i * 0.37:.2f}" for i in range(100)]
JOINED = ["red;blue", "red", "blue;green", "green", "red;green", "blue"] * 5


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", "a", None], "classes"),
        (PRICES, "numbers"),
        ([float(price) for price in PRICES], "numbers"),
        ([*PRICES, "unknown"], "classes"),
        ([str(i) for i in range(100)], "classes"),
        (["0.5", "1.5", "2.5"] * 40, "classes"),
        (PRICES[:15] * 10, "classes"),
        (JOINED, "several"),
        ([joined.replace(";", "|") for joined in JOINED], "several"),
        ([["a"], ["a", "b"]], "several"),
        (["['a']", "['a', 'b']"], "several"),
        ([f"{thing}|{mood}" for thing in ("phone", "laptop", "lamp") for mood in ("good", "bad")] * 9, "classes"),
        (["terms; conditions", "returns", "billing"] * 20, "classes"),
        ([*["x"] * 95, *["red;blue", "red;green", "blue;green"], "red", "blue"], "classes"),
        (["1", "2", "3", "2"], "steps"),
        ([1.0, 2.0, 3.0], "steps"),
        (["1", "2"], "classes"),
        (["1", "3", "9"], "classes"),
        (["[draft]", "final"], "classes"),
        ([], "classes"),
    ],
)
def test_the_kind_of_labels(values: list[Any], kind: str) -> None:
    assert kind_of(pa.chunked_array([pa.array(values)])) == kind


def write(root: Path, labels: list[str]) -> None:
    (root / "rows.csv").write_text("text,label\n" + "".join(f"text {i},{label}\n" for i, label in enumerate(labels)))


def refusal(root: Path, labels: list[str]) -> str:
    write(root, labels)
    with pytest.raises(InputError) as found:
        refuse_other_problem(root, params(data__path="rows.csv", data__where={}))
    (sentence,) = found.value.sentences
    return sentence


def test_numbers_are_regression(tmp_path: Path) -> None:
    assert refusal(tmp_path, PRICES) == (
        "Column 'label' of rows.csv holds numbers with decimals, which is regression, not classification: set "
        "data.label_column to labels, or make classes of the numbers."
    )


def test_several_labels_a_row_are_multi_label(tmp_path: Path) -> None:
    assert refusal(tmp_path, JOINED) == (
        "Column 'label' of rows.csv holds several labels a row, which is multi-label, not classification: set "
        "data.label_column to a column with one, make a column of them or, where each is one label, list them in "
        "data.rules.label.allowed."
    )


def test_labels_that_are_declared_are_classes(tmp_path: Path) -> None:
    labels = ["C", "C++", "C|C++"] * 10
    assert "holds several labels a row" in refusal(tmp_path, labels)
    for rule, fine in (({"allowed": ["C", "C++", "C|C++"]}, True), ({"min_characters": 1}, False)):
        settings = params(data__path="rows.csv", data__where={}, data__rules={"label": rule})
        with nullcontext() if fine else pytest.raises(InputError):
            refuse_other_problem(tmp_path, settings)


def test_rows_that_where_leaves_out_say_nothing_of_the_labels(tmp_path: Path) -> None:
    lines = [f"text {i},{label},1" for i, label in enumerate(["a", "b"] * 10)]
    lines += [f"price {i},{label},2" for i, label in enumerate(JOINED)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label,shop", *lines]) + "\n")
    for kept in (1, "1"):
        refuse_other_problem(tmp_path, params(data__path="rows.csv", data__where={"shop": kept}))
    with pytest.raises(InputError, match="several labels a row"):
        refuse_other_problem(tmp_path, params(data__path="rows.csv", data__where={"shop": 2}))


def test_classes_and_steps_pass_and_so_does_what_others_refuse(tmp_path: Path) -> None:
    for labels in (["a", "b"], ["1", "2", "3"]):
        write(tmp_path, labels)
        refuse_other_problem(tmp_path, params(data__path="rows.csv", data__where={}))
    refuse_other_problem(tmp_path, params(data__path="rows.csv", data__label_column="gone"))
    refuse_other_problem(tmp_path, params(data__path="gone.csv"))
