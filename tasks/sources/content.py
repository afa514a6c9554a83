"""What stands in a snapshot, looked at batch by batch before it replaces the last good one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from tasks.errors import InputError
from tasks.params import Data
from tasks.rows.read import columns, dispensable, is_text, kept_by, label_text
from tasks.rows.table import check_columns, unreadable
from tasks.sources.batches import BATCH_ROWS, MAX_ROW_BYTES, refuse_long

FEWEST_LABELS = 2


def inspect(path: Path, max_rows: int, data: Data | None, name: str) -> int:
    """Refuse a file that no run could use.

    Args:
        path: of the snapshot, a table.
        max_rows: more are refused.
        data: names its columns; None where nobody knows them yet.
        name: of the source, for errors.

    Returns:
        Count of rows.

    Raises:
        InputError: broken, empty, too many rows, a row too long, a missing column, a column of mixed types, examples
            that are no text, labels that are NaN, one label, or more labels than `data.max_labels`.
    """
    rows, labels = 0, Labels(data, name) if data else None
    for batch in _batches(path, name):
        if rows == 0 and data:
            needed = [column for column in columns(data) if column not in dispensable(data)]
            check_columns(name, batch, needed, "correct source.query or the columns that data names")
        _refuse_long_rows(batch, rows, name)
        if data:
            _refuse_no_text(batch.column(data.input_column), data.input_column, name)
        if labels:
            labels.look(batch, rows)
        rows += batch.num_rows
        if rows > max_rows:
            raise InputError(f"{name} has more than {max_rows} rows, which is data.max_rows: raise it or sample.")
    if not rows:
        raise InputError(f"{name} has no rows: correct source.url or source.query.")
    if labels:
        labels.judge()
    return rows


class Labels:
    """The labels of the rows that `data.where` keeps, as they come by."""

    def __init__(self, data: Data, name: str) -> None:
        self.data, self.name = data, name
        self.seen: set[str] = set()
        self.kept = 0

    def look(self, batch: pa.RecordBatch, before: int) -> None:
        """Raises InputError at the first NaN, or at one label too many."""
        keep = kept_by(batch, self.data.where).to_pylist()
        self.kept += sum(keep)
        if self.data.label_column not in batch.schema.names:
            return  # where it is dispensable
        column = batch.column(self.data.label_column)
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            raise InputError(
                f"Column {self.data.label_column!r} of {self.name} holds {column.type}, which is no label: name "
                "another with data.label_column."
            )
        for i, value in enumerate(column.to_pylist()):
            if not keep[i]:
                continue
            if isinstance(value, float) and math.isnan(value):
                raise InputError(
                    f"Row {before + i + 1} of {self.name} has the label NaN: make it NULL, which is quarantined, or "
                    "leave such rows out at the source."
                )
            label = label_text(value)
            if label is not None:
                self.seen.add(label)
        if len(self.seen) > self.data.max_labels:
            raise InputError(
                f"Column {self.data.label_column!r} of {self.name} has more than {self.data.max_labels} labels, which "
                "is data.max_labels: correct data.label_column or raise it."
            )

    def judge(self) -> None:
        if not self.kept:
            raise InputError(f"data.where keeps no row of {self.name}: change it.")
        if len(self.seen) < FEWEST_LABELS and (self.seen or not self.data.label_descriptions):
            raise InputError(
                f"Column {self.data.label_column!r} of {self.name} has {len(self.seen)} labels, and two at least are "
                "wanted: correct data.label_column or the source."
            )


def _refuse_no_text(column: pa.Array, column_name: str, name: str) -> None:
    if not is_text(column.type) and column.null_count < len(column):
        raise InputError(
            f"Column {column_name!r} of {name} holds {column.type}, not text: cast it at the source, or name the text "
            "with data.input_column."
        )


def _batches(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Record batches of bounded size; a reader's words that quote rows stay unsaid."""
    try:
        yield from READERS[path.suffix.lower()](path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise _unreadable(error, path, name) from None


def _unreadable(error: Exception, path: Path, name: str) -> InputError:
    said = str(error)
    if re.search(r"straddl|block.?size|too large|exceeds", said, re.IGNORECASE):
        return InputError(
            f"{name} has a row of more than {MAX_ROW_BYTES / 1e6:.1f} MB: leave it or its long column out."
        )
    if re.search(r"changed from|conversion error|but got|cannot mix|inconsistent", said, re.IGNORECASE):
        return InputError(f"{name} mixes types in a column: let each column have one type at the source.")
    if "mpty" in said:
        return InputError(f"{name} has no rows: correct source.url or source.query.")
    return InputError(unreadable(path, said).replace(path.name, name))


def _csv(path: Path) -> Iterator[pa.RecordBatch]:
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    read = pa.csv.ReadOptions(block_size=MAX_ROW_BYTES)
    with pa.csv.open_csv(path, read, parse) as opened:
        names = opened.schema.names
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[""])
    with pa.csv.open_csv(path, read, parse, convert) as opened:
        yield from opened


def _jsonl(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.json.open_json(path, pa.json.ReadOptions(block_size=MAX_ROW_BYTES)) as opened:
        yield from opened


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.parquet.ParquetFile(path) as opened:
        yield from opened.iter_batches(BATCH_ROWS)


READERS: dict[str, Any] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _refuse_long_rows(batch: pa.RecordBatch, before: int, name: str) -> None:
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
        refuse_long(longest, before + pa.compute.index(total, longest).as_py() + 1, name)


def _has_length(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )
