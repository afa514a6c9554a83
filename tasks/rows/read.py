"""A file or folder of rows -> example and label of each, with the row's place at its source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from tasks.errors import InputError
from tasks.params import Data
from tasks.rows.folder import SPLIT_NAMES, Listing, read_folder
from tasks.rows.rules import Inspection
from tasks.rows.split import Split
from tasks.rows.stream import stream
from tasks.rows.table import check_named, read_table, unreadable

SAMPLE_ROWS = 200
GAPS = ("", "nan", "NaN")
COLUMN_LEAVES = ("input_column", "label_column", "group_column", "split_column", "time_column")


@dataclass(frozen=True)
class RawRows:
    """Rows of one source after `data.where`, as strings.

    Attributes:
        numbers: place of each row at its source, counted from 1 without a header.
        inputs: cell of each row that is its example, or the path of it; None where it is empty.
        labels: label of each row; None where the cell is empty.
        splits: where the source itself places each row; None where it does not say.
        faults: which rule of `data.rules` each row breaks; None where it keeps all.
        left_out: rows that `data.where` did not keep.
        table: the columns of these rows as they were read, those that `columns` names at least.
    """

    numbers: list[int]
    inputs: list[str | None]
    labels: list[str | None]
    splits: list[Split | None]
    faults: list[str | None]
    left_out: int
    table: pa.Table = field(default=None, compare=False)


def own(data: Data) -> Data:
    """How to read what Graft itself wrote: example and label alone, of which every row is kept."""
    rules = {column: rule for column, rule in data.rules.items() if column in (data.input_column, data.label_column)}
    nothing = dict.fromkeys(("group_column", "split_column", "time_column"))
    return data.model_copy(update={"where": {}, "rules": rules, **nothing})


def read_own(path: Path, data: Data) -> RawRows:
    """Read what Graft itself wrote; errors as of `read`."""
    return read(path, own(data), checked=True)


def read(path: Path, data: Data, checked: bool = False) -> RawRows:
    """Read one source whole; arguments and errors as of `batches`."""
    parts = list(batches(path, data, checked))
    tables = [part.table for part in parts]
    return RawRows(
        numbers=[number for part in parts for number in part.numbers],
        inputs=[cell for part in parts for cell in part.inputs],
        labels=[label for part in parts for label in part.labels],
        splits=[split for part in parts for split in part.splits],
        faults=[fault for part in parts for fault in part.faults],
        left_out=sum(part.left_out for part in parts),
        table=pa.concat_tables(tables, promote_options="permissive"),
    )


def columns(data: Data) -> list[str]:
    """Columns that are read of a source; it must have them, but for those of `dispensable`."""
    placing = (data.group_column, data.split_column, data.time_column)
    named = (data.input_column, data.label_column, *placing, *sorted(data.where), *data.rules)
    return [*dict.fromkeys(name for name in named if name)]


def dispensable(data: Data) -> set[str]:
    """Of `columns` those that a source may lack: where the labels are described, its rows may have none yet."""
    label = data.label_column
    return {label} if data.label_descriptions and label not in data.where and label not in data.rules else set()


def batches(path: Path, data: Data, checked: bool = False) -> Iterator[RawRows]:
    """Read one source as `data` describes it, a batch in memory at a time; a folder comes as one batch.

    Args:
        path: of the file or folder.
        data: names columns and says which rows are kept.
        checked: whether the examples are known to be texts, even if all of them look like numbers.

    Raises:
        InputError: no such file or folder, unknown ending, not UTF-8, broken or empty file, missing column, too many
            rows, an example column that holds no text, nothing left by `data.where`, a column with more gaps than its
            rule allows; some of it only at the end.
    """
    seen = kept = 0
    inspection = Inspection(path.name, data.rules)
    sample: list[str] | None = None if checked else []
    for listed in _listed(path, data, columns(data)):
        table = listed.table
        keep = kept_by(table, data.where)
        chosen = table.filter(keep)
        inputs = _texts(_valid(chosen, data.input_column, path), path, data.input_column)
        if sample is not None and len(sample) < SAMPLE_ROWS:
            sample += [cell for cell in inputs if cell and cell.strip()]
            if len(sample) >= SAMPLE_ROWS:
                refuse_numbers(sample, path, data.input_column)
        yield RawRows(
            numbers=pa.array(range(seen + 1, seen + table.num_rows + 1)).filter(keep).to_pylist(),
            inputs=inputs,
            labels=_labels(chosen, data.label_column, path),
            splits=_splits(chosen, listed.splits, keep, data.split_column),
            faults=inspection.reasons(chosen),
            left_out=table.num_rows - chosen.num_rows,
            table=chosen,
        )
        seen, kept = seen + table.num_rows, kept + chosen.num_rows
    refuse_numbers(sample or [], path, data.input_column)
    if kept == 0:
        raise InputError(f"data.where {data.where} keeps none of the {seen} rows of {path.name}: change it.")
    inspection.refuse_gaps()


def examples(path: Path, data: Data) -> Iterator[list[str | None]]:
    """Cells of the example column of a source that needs no label, a batch in memory at a time.

    Args:
        path: of the file or folder.
        data: names the column, and how many rows there may be.

    Raises:
        InputError: as `batches`, of a file or this column.
    """
    name = data.input_column
    for listed in _listed(path, own(data), [name], labelled=False):
        yield _texts(_valid(listed.table, name, path), path, name)


def _listed(path: Path, data: Data, wanted: Sequence[str], labelled: bool = True) -> Iterator[Listing]:
    numeric = {name for name, value in data.where.items() if not isinstance(value, str)}
    numeric |= {name for name, rule in data.rules.items() if rule.type != "string"}
    numeric -= {data.input_column, data.label_column}
    text_columns = [name for name in wanted if name not in numeric]
    if not path.is_dir():
        needed = {name: _remedy(data, name) for name in wanted if name not in dispensable(data)}
        for table in stream(path, data.max_rows, needed, text_columns):
            yield Listing(table, [None] * table.num_rows)
        return
    listed = read_folder(path, data.max_rows, text_columns, labelled)
    check_named(path.name, listed.table, {name: _remedy(data, name) for name in wanted})
    yield listed


def _remedy(data: Data, column: str) -> str:
    """Which leaves name a column, and so what to do if it is not there."""
    leaves = [leaf for leaf in COLUMN_LEAVES if getattr(data, leaf) == column]
    leaves += [leaf for leaf in ("where", "rules") if column in getattr(data, leaf)]
    named = " and ".join(f"data.{leaf}" for leaf in leaves)
    return f"set {named} to one of these, or give one of them this name"


def _labels(chosen: pa.Table, name: str, path: Path) -> list[str | None]:
    if name not in chosen.column_names:
        return [None] * chosen.num_rows
    check_named(path.name, chosen, {name: ""})  # that it stands there once
    return [label_text(value) for value in _valid(chosen, name, path).to_pylist()]


def _splits(chosen: pa.Table, listed: Sequence[Split | None], keep: pa.Array, column: str | None) -> list[Split | None]:
    if column is None:
        return [split for split, kept in zip(listed, keep.to_pylist(), strict=True) if kept]
    return [SPLIT_NAMES.get((label_text(value) or "").lower()) for value in chosen.column(column).to_pylist()]


def read_source(path: Path, max_rows: int, text_columns: Sequence[str] | None = ()) -> Listing:
    """Rows of a file or a folder; arguments and errors as of `read_table` and `read_folder`."""
    if path.is_dir():
        return read_folder(path, max_rows, text_columns)
    table = read_table(path, max_rows, text_columns)
    return Listing(table, [None] * table.num_rows)


def kept_by(table: pa.Table | pa.RecordBatch, where: dict[str, str | int | float | bool]) -> pa.Array:
    """Which rows `data.where` keeps, (N,) booleans; all columns that it names must be there."""
    columns = {name: table.column(name).to_pylist() for name in where}
    keep = [all(_is(columns[name][i], wanted) for name, wanted in where.items()) for i in range(table.num_rows)]
    return pa.array(keep, type=pa.bool_())


def _is(value: object, wanted: str | int | float | bool) -> bool:
    """The columns of a CSV are read as text, and so is every label column, whatever `wanted` is."""
    if value == wanted or not isinstance(value, str):
        return value == wanted
    if isinstance(wanted, bool):
        return value.lower() in (label_text(wanted), str(int(wanted)))
    return value == label_text(wanted) or (not isinstance(wanted, str) and is_number(value) and float(value) == wanted)


def _valid(table: pa.Table, name: str, path: Path) -> pa.ChunkedArray:
    """The column with dictionaries spelled out and every text checked: Parquet promises UTF-8 and checks nothing."""
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(unreadable(path, str(error))) from None
    return column


def _texts(column: pa.ChunkedArray, path: Path, name: str) -> list[str | None]:
    kind = column.type
    if not is_text(kind):
        if column.null_count == len(column):
            return [None] * len(column)
        raise InputError(f"Column {name!r} of {path.name} holds {kind}, not text: set data.input_column to the text.")
    values: list[str | None] = column.to_pylist()
    return values


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts, spelled out or as a dictionary."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def refuse_numbers(sample: Sequence[str], path: Path, name: str) -> None:
    """Refuse a column of which every value is a number."""
    if sample and all(is_number(value) for value in sample[:SAMPLE_ROWS]):
        raise InputError(f"Column {name!r} of {path.name} holds numbers, not text: set data.input_column to the text.")


def label_text(value: object) -> str | None:
    """A label as every format spells it: booleans by the names CSV has for them, no space around; None for a gap.

    A gap is also NaN, as a number or spelled out: so programs write one that take a column for numbers.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = (str(value).lower() if isinstance(value, bool) else str(value)).strip()
    return None if text in GAPS else text


def is_number(value: str) -> bool:
    """Whether a text is a number as Python spells it."""
    try:
        float(value)
    except ValueError:
        return False
    return True
