"""A file or folder of rows -> example and label of each, with the row's place at its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tasks.errors import InputError
from tasks.params import Data
from tasks.rows import rules
from tasks.rows.folder import Listing, read_folder
from tasks.rows.split import Split
from tasks.rows.table import check_columns, read_table, unreadable

SAMPLE_ROWS = 200


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
    """

    numbers: list[int]
    inputs: list[str | None]
    labels: list[str | None]
    splits: list[Split | None]
    faults: list[str | None]
    left_out: int


def read_own(path: Path, data: Data) -> RawRows:
    """Read what Graft itself wrote, example and label alone, of which every row is kept; errors as of `read`."""
    own = {column: rule for column, rule in data.rules.items() if column in (data.input_column, data.label_column)}
    return read(path, data.model_copy(update={"where": {}, "rules": own}), checked=True)


def read(path: Path, data: Data, checked: bool = False) -> RawRows:
    """Read one source as `data` describes it.

    Args:
        path: of the file or folder.
        data: names columns and says which rows are kept.
        checked: whether the examples are known to be texts, even if all of them look like numbers.

    Raises:
        InputError: no such file or folder, unknown ending, not UTF-8, broken or empty file, missing column, too many
            rows, an example column that holds no text, nothing left by `data.where`.
    """
    text_wanted = [column for column, wanted in sorted(data.where.items()) if isinstance(wanted, str)]
    text_wanted += [column for column, rule in data.rules.items() if rule.type == "string" and column not in data.where]
    listed = read_source(path, data.max_rows, (data.input_column, data.label_column, *text_wanted))
    table = listed.table
    columns = dict.fromkeys((data.input_column, data.label_column, *sorted(data.where), *data.rules))
    leaves = "data.input_column, data.label_column, data.where or data.rules"
    check_columns(path.name, table, columns, f"set {leaves} to one of these")
    numbers = pa.array(range(1, table.num_rows + 1))
    kept = _where(table, data.where)
    chosen = table.filter(kept)
    if chosen.num_rows == 0:
        raise InputError(f"data.where {data.where} keeps none of the {table.num_rows} rows of {path.name}: change it.")
    return RawRows(
        numbers=numbers.filter(kept).to_pylist(),
        inputs=_examples(_valid(chosen, data.input_column, path), path, data.input_column, checked),
        labels=[label_text(value) for value in _valid(chosen, data.label_column, path).to_pylist()],
        splits=[split for split, keep in zip(listed.splits, kept.to_pylist(), strict=True) if keep],
        faults=rules.inspect(path.name, chosen, data.rules),
        left_out=table.num_rows - chosen.num_rows,
    )


def read_source(path: Path, max_rows: int, text_columns: Sequence[str] | None = (), labelled: bool = True) -> Listing:
    """Rows of a file or a folder; arguments and errors as of `read_table` and `read_folder`."""
    if path.is_dir():
        return read_folder(path, max_rows, text_columns, labelled)
    table = read_table(path, max_rows, text_columns)
    return Listing(table, [None] * table.num_rows)


def _where(table: pa.Table, where: dict[str, str | int | float | bool]) -> pa.Array:
    columns = {name: table.column(name).to_pylist() for name in where}
    keep = [all(_is(columns[name][i], wanted) for name, wanted in where.items()) for i in range(table.num_rows)]
    return pa.array(keep, type=pa.bool_())


def _is(value: object, wanted: str | int | float | bool) -> bool:
    """The label column is read as text, whatever `wanted` is."""
    return value == wanted or (isinstance(value, str) and value == label_text(wanted))


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


def _examples(column: pa.ChunkedArray, path: Path, name: str, checked: bool) -> list[str | None]:
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise InputError(f"Column {name!r} of {path.name} holds {kind}, not text: set data.input_column to the text.")
    values: list[str | None] = column.to_pylist()
    filled = [value for value in values if value and value.strip()]
    if filled and not checked and all(_is_number(value) for value in filled[:SAMPLE_ROWS]):
        raise InputError(f"Column {name!r} of {path.name} holds numbers, not text: set data.input_column to the text.")
    return values


def label_text(value: object) -> str | None:
    """A label as every format spells it: booleans by the names CSV has for them, no space around; None for a gap."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return (str(value).lower() if isinstance(value, bool) else str(value)).strip() or None


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
