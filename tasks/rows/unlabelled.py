"""Rows without any label: whether the labels' words alone can answer, and what waits for labels that come later."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tasks import modalities, zero_shot
from tasks.errors import InputError
from tasks.params import Data, Params
from tasks.rows.columns import Columns
from tasks.rows.head import head
from tasks.rows.read import label_text
from tasks.rows.row import SOURCES

FEWEST_LABELS = 2


def refuse_unusable(root: Path, params: Params) -> None:
    """Refuse rows without labels where the described labels cannot answer, or another column has them.

    Raises:
        InputError: fewer than two labels or more than `data.max_labels` are described, the model reads no words, a
            description has no letter, or a column of `data.path` holds all labels that are described.
    """
    data, name, count = params.data, Path(params.data.path).name, len(params.data.label_descriptions)
    told = f"{name}: no row has a label"
    if not FEWEST_LABELS <= count <= data.max_labels:
        raise InputError(
            f"{told}, and data.label_descriptions describes {count}: describe two at least, and at most "
            f"data.max_labels {data.max_labels}."
        )
    modality = params.project.modality
    words = zero_shot.label_words([*data.label_descriptions], data.label_descriptions)
    if reason := zero_shot.why_not(modalities.part(modality, "source"), modality, words):
        raise InputError(f"{told}, so that only the labels' words could answer. {reason}")
    table = head(root / data.path)
    if table is not None and (column := column_with(table, [*words], data.input_column)):
        raise InputError(
            f"{told} in column {data.label_column!r}, but column {column!r} holds all that data.label_descriptions "
            "describes: set data.label_column to it, or take that column out."
        )


def column_with(table: pa.Table, labels: list[str], input_column: str) -> str | None:
    """The first column beside the examples among whose values all of these labels are; None if there is none."""
    for name in table.column_names:
        if name == input_column or table.column_names.count(name) > 1:
            continue
        column = table.column(name)
        if not pa.types.is_nested(column.type) and {*labels} <= {label_text(value) for value in column.to_pylist()}:
            return str(name)
    return None


def waits(columns: Columns, data: Data) -> bool:
    """Whether the source itself has no label, and those that came later have."""
    own = columns.labels[columns.sources == SOURCES.index("path")]
    return bool(data.label_descriptions) and bool(columns.names) and bool((own < 0).all())


def refuse_missing(labels: list[str], data: Data) -> None:
    """Refuse to learn fewer labels than those that are answered by their words so far.

    Args:
        labels: with enough rows.
        data: describes the others.

    Raises:
        InputError: a label that is described has too few rows.
    """
    if missing := sorted({*data.label_descriptions} - {*labels}):
        few = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise InputError(
            f"No row of {Path(data.path).name} has a label, and {len(missing)} of the {len(data.label_descriptions)} "
            f"labels that data.label_descriptions describes ({few}) have fewer than data.min_rows_per_label "
            f"{data.min_rows_per_label} labelled training rows yet: hand in more with `graft feedback`, or describe "
            "fewer."
        )
