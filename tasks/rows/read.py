"""CSV, JSONL and Parquet files -> two columns, example and label, with the row's place in the file."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from tasks.errors import InputError
from tasks.params import Data

SAMPLE_ROWS = 200
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# A file is read whole, as one block.
MAX_FILE_BYTES = 2**31 - 1
# A file without a header has a row of somebody's text for one; what users wrote belongs in no log.
COLUMN_NAME = re.compile(r"^[\w .:/()-]{1,40}$")
NAMED_COLUMNS = 20


@dataclass(frozen=True)
class RawRows:
    """Rows of one file after `data.where`, as strings.

    Attributes:
        numbers: place of each row in the file, counted from 1 without the header.
        inputs: example of each row; None where the cell is empty.
        labels: label of each row; None where the cell is empty.
        left_out: rows that `data.where` did not keep.
    """

    numbers: list[int]
    inputs: list[str | None]
    labels: list[str | None]
    left_out: int


def _csv(path: Path, text_columns: Sequence[str] | None) -> pa.Table:
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    if text_columns is None:
        with pa.csv.open_csv(path, parse_options=parse) as opened:
            text_columns = opened.schema.names
    table = pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(block_size=_block_bytes(path)),
        parse_options=parse,
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in text_columns}, null_values=[""], strings_can_be_null=True
        ),
    )
    # What is no UTF-8 in a column whose type was left open comes out as bytes.
    if any(pa.types.is_binary(field.type) for field in table.schema):
        raise pa.ArrowInvalid("invalid UTF8 data")
    return table


def _jsonl(path: Path, text_columns: Sequence[str] | None) -> pa.Table:
    options = pa.json.ReadOptions(block_size=_block_bytes(path))
    schema = pa.schema([(name, pa.string()) for name in dict.fromkeys(text_columns or ())])
    try:
        table = pa.json.read_json(path, options, pa.json.ParseOptions(explicit_schema=schema))
    except pa.ArrowInvalid:  # numbers or booleans stand there; without the schema, text that looks like a date changes
        return pa.json.read_json(path, options)
    # A column that the schema names and the file has not comes out empty.
    return table.drop_columns([name for name in schema.names if table.column(name).null_count == table.num_rows])


def _block_bytes(path: Path) -> int:
    """One block for the whole file: a row longer than a block would be refused as broken."""
    return max(1 << 20, path.stat().st_size + 1)


def _parquet(path: Path, _: Sequence[str] | None) -> pa.Table:
    return pa.parquet.read_table(path)


READERS: dict[str, Callable[[Path, Sequence[str] | None], pa.Table]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}


def read(path: Path, data: Data) -> RawRows:
    """Read one file as `data` describes it.

    Raises:
        InputError: no such file, unknown ending, not UTF-8, broken or empty file, missing column, too many
            rows, an example column that holds no text, nothing left by `data.where`.
    """
    text_wanted = [column for column, wanted in sorted(data.where.items()) if isinstance(wanted, str)]
    table = read_table(path, data.max_rows, (data.input_column, data.label_column, *text_wanted))
    columns = dict.fromkeys((data.input_column, data.label_column, *sorted(data.where)))
    check_columns(path.name, table, columns, "set data.input_column, data.label_column or data.where to one of these")
    numbers = pa.array(range(1, table.num_rows + 1))
    kept = _where(table, data.where)
    chosen = table.filter(kept)
    if chosen.num_rows == 0:
        raise InputError(f"data.where {data.where} keeps none of the {table.num_rows} rows of {path.name}: change it.")
    return RawRows(
        numbers=numbers.filter(kept).to_pylist(),
        inputs=_examples(_valid(chosen, data.input_column, path), path, data.input_column),
        labels=[label_text(value) for value in _valid(chosen, data.label_column, path).to_pylist()],
        left_out=table.num_rows - chosen.num_rows,
    )


def check_columns(name: str, table: pa.Table, columns: Iterable[str], remedy: str) -> None:
    """Refuse a table in which one of `columns` is missing or stands twice.

    Raises:
        InputError: with a sentence for every such column.
    """
    faults = []
    for column in columns:
        count = table.column_names.count(column)
        if count == 0:
            faults.append(f"{name} has no column {column!r}: it has {_names(table.column_names)}; {remedy}.")
        if count > 1:
            faults.append(f"{name} has column {column!r} more than once: rename one of them.")
    if faults:
        raise InputError(faults)


def _names(columns: Sequence[str]) -> str:
    plain = [column for column in columns[:NAMED_COLUMNS] if COLUMN_NAME.match(column)]
    others = len(columns) - len(plain)
    return ", ".join([*plain, *([f"{others} that are not named here"] if others else [])])


def read_table(path: Path, max_rows: int, text_columns: Sequence[str] | None = ()) -> pa.Table:
    """Read a file whole; `text_columns` stay text, where a label "007", "true" or "2024-01-01" would change its form.

    Args:
        path: the file.
        max_rows: more are refused.
        text_columns: None for all columns of a CSV.

    Raises:
        InputError: as `read`, for what concerns the file and not its columns.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path.name}: only files ending in {', '.join(READERS)} are read; convert it to one of them.")
    if not path.is_file():
        raise InputError(f"There is no file {path}: put it there or correct the path.")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path.name} is empty: it needs a header and rows.")
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path.name} has {size / 1e9:.1f} GB, over the 2.1 that are read at once: sample it.")
    try:
        with path.open("rb") as file:
            if path.suffix.lower() != ".parquet" and file.read(2) in UTF16_MARKS:
                raise InputError(f"{path.name} is UTF-16, not UTF-8: convert it, for instance with iconv.")
        table = reader(path, text_columns)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise InputError(_reason(path, str(error))) from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror or error}): check the file.") from None
    if table.num_rows == 0:
        raise InputError(f"{path.name} has a header but no rows: put the data in.")
    if table.num_rows > max_rows:
        raise InputError(f"{path.name} has {table.num_rows} rows, over data.max_rows {max_rows}: raise it or sample.")
    return table


def _reason(path: Path, message: str) -> str:
    if "UTF8" in message.upper().replace("-", ""):
        return f"{path.name} is not UTF-8: convert it, for instance with iconv."
    # pyarrow goes on to quote the row it stumbled over; what users wrote belongs in no log.
    told = re.match(r"[A-Za-z ]*", message)
    where = re.search(r"in row \d+|Row #\d+|Expected \d+ columns, got \d+", message)
    assert told is not None
    reason = ", ".join([told[0].strip(), *([where[0]] if where else [])])
    return f"{path.name} cannot be read as {path.suffix[1:].upper()} ({reason}): correct the file."


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
        raise InputError(_reason(path, str(error))) from None
    return column


def _examples(column: pa.ChunkedArray, path: Path, name: str) -> list[str | None]:
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise InputError(f"Column {name!r} of {path.name} holds {kind}, not text: set data.input_column to the text.")
    values: list[str | None] = column.to_pylist()
    filled = [value for value in values if value and value.strip()]
    if filled and all(_is_number(value) for value in filled[:SAMPLE_ROWS]):
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
