"""What a label column asks for, by its values: classes, numbers, several labels a row, or steps of a scale."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Literal

import pyarrow as pa

from tasks.errors import InputError
from tasks.params import Data, Params
from tasks.rows.head import head
from tasks.rows.read import is_number, kept_by, label_text

Kind = Literal["classes", "numbers", "several", "steps"]
SEPARATORS = (";", "|")
WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
# Of numbers: so many different ones are no classes, if they are this share of the rows too.
MOST_CLASSES, MOST_CLASSES_SHARE = 20, 0.05
# Of joined labels: this share of the rows has several.
LEAST_JOINED = 0.1
STEPS = range(3, 12)


def kind_of(column: pa.ChunkedArray) -> Kind:
    """What the values of a label column look like.

    Numbers: many different ones with decimals. Several: lists, or parts joined by ; or | that recur in
    combinations of other sizes. Steps: from 3 to 11 whole numbers without a gap.
    """
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return "several"
    labels = Counter(text for value in column.to_pylist() if (text := label_text(value)) is not None)
    if _are_numbers(labels):
        return "numbers"
    if _are_joined(labels):
        return "several"
    return "steps" if _are_steps(labels) else "classes"


def _are_numbers(labels: Counter[str]) -> bool:
    decimal = sum(WHOLE.fullmatch(label) is None for label in labels)
    many = len(labels) > max(MOST_CLASSES, MOST_CLASSES_SHARE * labels.total())
    return many and 2 * decimal > len(labels) and all(map(is_number, labels))


def _are_joined(labels: Counter[str]) -> bool:
    if labels and all(map(_is_list, labels)):
        return True
    for separator in SEPARATORS:
        parts = {label: {part.strip() for part in label.split(separator)} for label in labels}
        joined = sum(labels[label] for label, found in parts.items() if len(found) > 1)
        places = Counter(part for found in parts.values() for part in found)
        recurring = sum(count > 1 for count in places.values())
        # Names such as "phones|good" and "laptops|bad" have parts too, but all of them as many.
        counts = {len(found) for found in parts.values()}
        fewer = len(places) < len(labels) and 2 * recurring > len(places)
        if joined >= LEAST_JOINED * labels.total() and fewer and len(counts) > 1:
            return True
    return False


def _is_list(label: str) -> bool:
    try:
        return label.startswith("[") and isinstance(json.loads(label.replace("'", '"')), list)
    except ValueError:
        return False


def _are_steps(labels: Counter[str]) -> bool:
    if len(labels) not in STEPS or not all(WHOLE.fullmatch(label) for label in labels):
        return False
    values = sorted(int(float(label)) for label in labels)
    return values[-1] - values[0] == len(values) - 1


def refuse_other_problem(root: Path, params: Params) -> None:
    """Refuse labels that are no classes; what cannot be read, or has no such column, is told by who reads it in full.

    Labels that `data.rules` lists as allowed are classes, whatever they look like.

    Raises:
        InputError: the label column holds numbers, or several labels a row.
    """
    data: Data = params.data
    rule = data.rules.get(data.label_column)
    if rule is not None and rule.allowed is not None:
        return
    name = Path(data.path).name
    table = head(root / data.path, (data.input_column, data.label_column, *data.where))
    if table is None or any(table.column_names.count(column) != 1 for column in (data.label_column, *data.where)):
        return
    labels = table.column(data.label_column).filter(kept_by(table, data.where))
    kind, where = kind_of(labels), f"Column {data.label_column!r} of {name}"
    if kind == "numbers":
        raise InputError(
            f"{where} holds numbers with decimals, which is regression, not {params.project.problem}: set "
            "data.label_column to labels, or make classes of the numbers."
        )
    if kind == "several":
        raise InputError(
            f"{where} holds several labels a row, which is multi-label, not {params.project.problem}: set "
            "data.label_column to a column with one, make a column of them or, where each is one label, list them in "
            f"data.rules.{data.label_column}.allowed."
        )
