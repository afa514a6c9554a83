"""What stands in a snapshot, looked at batch by batch before it replaces the last good one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute

from tasks.errors import InputError
from tasks.params import Data
from tasks.rows.clean import OWN_TEST_ROWS
from tasks.rows.gathered import refuse_two_validations
from tasks.rows.read import RawRows, batches, label_text
from tasks.rows.split import Split
from tasks.rows.stream import stream
from tasks.sources.batches import MAX_ROW_BYTES, refuse_long

FEWEST_LABELS = 2
T = TypeVar("T")


def inspect(path: Path, data: Data, name: str) -> int:
    """Refuse a file that no run could use; it is read as a run does.

    Args:
        path: of the snapshot, a table.
        data: names its columns and limits.
        name: of the source, for errors.

    Returns:
        Count of rows.

    Raises:
        InputError: what a run refuses in reading it; and a row too long, labels that are NaN or no labels at all, one
            label, or more labels than `data.max_labels`; a column of splits without test rows, or with validation rows
            where others are drawn.
    """
    rows, labels = 0, Labels(data, name)
    splits: set[Split | None] = set()
    for part in _told(batches(path, data), path, name):
        _refuse_long_rows(part.table, part.numbers, name)
        labels.look(part)
        splits.update(part.splits)
        rows += len(part.numbers) + part.left_out
    labels.judge()
    if "validation" in labels.splits:
        refuse_two_validations(data, name)
    if data.split_column and not data.test and "test" not in splits:
        raise InputError(f"{name}: no row falls into the test split: {OWN_TEST_ROWS}.")
    return rows


def count(path: Path, max_rows: int, name: str) -> int:
    """The same of a file whose columns nobody knows yet: count of its rows, which are whole and not too long."""
    rows = 0
    for table in _told(stream(path, max_rows, {}, ()), path, name):
        _refuse_long_rows(table, range(rows + 1, rows + table.num_rows + 1), name)
        rows += table.num_rows
    return rows


def _told(parts: Iterator[T], path: Path, name: str) -> Iterator[T]:
    """What a reader refuses of the file, told of the source."""
    try:
        yield from parts
    except InputError as error:
        raise InputError([sentence.replace(path.name, name) for sentence in error.sentences]) from None


class Labels:
    """The labels of the rows that `data.where` keeps, as they come by."""

    def __init__(self, data: Data, name: str) -> None:
        self.data, self.name = data, name
        self.seen: set[str] = set()
        self.splits: set[Split | None] = set()  # of rows that have one

    def look(self, part: RawRows) -> None:
        """Raises InputError at the first NaN, or at one label too many."""
        if self.data.label_column not in part.table.column_names:
            return  # where it is dispensable
        column = part.table.column(self.data.label_column)
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            raise InputError(
                f"Column {self.data.label_column!r} of {self.name} holds {column.type}, which is no label: name "
                "another with data.label_column."
            )
        for number, split, value in zip(part.numbers, part.splits, column.to_pylist(), strict=True):
            if isinstance(value, float) and math.isnan(value):
                raise InputError(
                    f"Row {number} of {self.name} has the label NaN: make it NULL, which is quarantined, or "
                    "leave such rows out at the source."
                )
            label = label_text(value)
            if label is not None:
                self.seen.add(label)
                self.splits.add(split)
        if len(self.seen) > self.data.max_labels:
            raise InputError(
                f"Column {self.data.label_column!r} of {self.name} has more than {self.data.max_labels} labels, which "
                "is data.max_labels: correct data.label_column or raise it."
            )

    def judge(self) -> None:
        if len(self.seen) < FEWEST_LABELS and (self.seen or not self.data.label_descriptions):
            raise InputError(
                f"Column {self.data.label_column!r} of {self.name} has {len(self.seen)} labels, and two at least are "
                "wanted: correct data.label_column or the source."
            )


def _refuse_long_rows(batch: pa.Table, numbers: Sequence[int], name: str) -> None:
    if batch.nbytes <= MAX_ROW_BYTES:
        return
    texts = [column for column in batch.columns if _has_length(column.type)]
    if not texts:
        return
    sizes = [pa.compute.fill_null(pa.compute.binary_length(column), 0).cast(pa.int64()) for column in texts]
    total = sizes[0]
    for size in sizes[1:]:
        total = pa.compute.add(total, size)
    longest = pa.compute.max(total).as_py()
    if longest > MAX_ROW_BYTES:
        refuse_long(longest, numbers[pa.compute.index(total, longest).as_py()], name)


def _has_length(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )
