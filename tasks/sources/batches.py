"""Rows of a database or of many files -> one Parquet file, batch by batch, within limits."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tasks.errors import InputError
from tasks.rows.read import label_text
from tasks.rows.table import COLUMN_NAME

BATCH_ROWS = 5000
MAX_ROW_BYTES = 4 << 20
WRONG_TYPE = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)


def write_parquet(path: Path, batches: Iterable[pa.RecordBatch], max_rows: int, name: str) -> int:
    """Write batches of one schema as they come.

    Args:
        path: of the new file.
        batches: the rows; of them only one batch is held at once.
        max_rows: more are refused, as soon as they come.
        name: of the source, for errors.

    Returns:
        Count of rows.

    Raises:
        InputError: no row, or too many.
    """
    rows, writer = 0, None
    try:
        for batch in batches:
            rows += batch.num_rows
            if rows > max_rows:
                raise InputError(f"{name} has more than {max_rows} rows, which is data.max_rows: raise it or sample.")
            writer = writer or pa.parquet.ParquetWriter(path, batch.schema)
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    if not rows:
        raise InputError(f"{name} has no rows: correct source.url or source.query.")
    return rows


def from_tuples(
    columns: Sequence[str], parts: Iterable[Sequence[Sequence[Any]]], name: str
) -> Iterator[pa.RecordBatch]:
    """Tuples of a database as record batches; the first rows say which type a column has, text where all are empty.

    Args:
        columns: C names.
        parts: rows of C values each.
        name: of the source, for errors.

    Raises:
        InputError: a row that is too long, or a column of more than one type.
    """
    kinds: list[pa.DataType] | None = None
    unknown: list[bool] = []
    before = 0
    for part in parts:
        rows = [[_cell(value) for value in row] for row in part]
        for number, row in enumerate(rows, before + 1):
            refuse_long(sum(len(cell) for cell in row if isinstance(cell, str | bytes)), number, name)
        wanted = kinds or [None] * len(columns)
        cells = [list(column) for column in zip(*rows, strict=True)]
        if kinds is None:
            unknown = [all(cell is None for cell in column) for column in cells]
        cells = [[*map(_text, column)] if late else column for column, late in zip(cells, unknown, strict=True)]
        made = [_array(*one, before, name) for one in zip(cells, wanted, columns, strict=True)]
        kinds = kinds or [array.type for array in made]
        yield pa.record_batch(made, schema=pa.schema(list(zip(columns, kinds, strict=True))))
        before += len(rows)


def refuse_long(size: int, number: int, name: str) -> None:
    """Refuse a row of more characters or bytes than any example has."""
    if size > MAX_ROW_BYTES:
        raise InputError(
            f"Row {number} of {name} has {size / 1e6:.1f} MB, over the {MAX_ROW_BYTES / 1e6:.1f} that a row may have: "
            "leave it or its long column out."
        )


def _cell(value: Any) -> Any:
    """The value in a type that Arrow and every reader of rows know."""
    if value is None or isinstance(value, str | int | float | bytes | datetime.date | datetime.time):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return bytes(value) if isinstance(value, memoryview | bytearray) else str(value)


def _text(value: Any) -> str | bytes | None:
    return value if isinstance(value, str | bytes) else label_text(value)


def _array(cells: Sequence[Any], kind: pa.DataType | None, column: str, before: int, name: str) -> pa.Array:
    try:
        if kind is None:
            array = pa.array(cells)
            return array.cast(pa.string()) if pa.types.is_null(array.type) else array
        return pa.array(cells, type=kind)
    except WRONG_TYPE:
        raise InputError(_mixed(column, name, _types(cells, kind), before)) from None


def _types(cells: Sequence[Any], kind: pa.DataType | None) -> str:
    found = sorted({type(cell).__name__ for cell in cells if cell is not None})
    return " and ".join(dict.fromkeys([*([str(kind)] if kind is not None else []), *found]))


def _mixed(column: str, name: str, types: str, before: int) -> str:
    shown = repr(column) if COLUMN_NAME.match(column) else "one"
    return f"Column {shown} of {name} mixes types ({types}, after row {before}): cast it to one type at the source."
