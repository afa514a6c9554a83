"""CSV, JSONL and Parquet files -> two columns, example and label, with the row's place in the file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
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
MAX_BLOCK_BYTES = 2**31 - 1


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


def _csv(path: Path, text_columns: Sequence[str]) -> pa.Table:
    return pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(block_size=_block_bytes(path)),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in text_columns}, null_values=[""], strings_can_be_null=True
        ),
    )


def _jsonl(path: Path, _: Sequence[str]) -> pa.Table:
    return pa.json.read_json(path, read_options=pa.json.ReadOptions(block_size=_block_bytes(path)))


def _block_bytes(path: Path) -> int:
    """One block for the whole file: a row longer than a block would be refused as broken."""
    return max(1 << 20, min(path.stat().st_size + 1, MAX_BLOCK_BYTES))


def _parquet(path: Path, _: Sequence[str]) -> pa.Table:
    return pa.parquet.read_table(path)


READERS: dict[str, Callable[[Path, Sequence[str]], pa.Table]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def read(path: Path, data: Data) -> RawRows:
    """Read one file as `data` describes it.

    Raises:
        InputError: no such file, unknown ending, not UTF-8, broken or empty file, missing column, too many
            rows, an example column that holds no text, nothing left by `data.where`.
    """
    text_wanted = [column for column, wanted in sorted(data.where.items()) if isinstance(wanted, str)]
    table = read_table(path, data.max_rows, (data.input_column, data.label_column, *text_wanted))
    for column in (data.input_column, data.label_column, *sorted(data.where)):
        if column not in table.column_names:
            raise InputError(
                f"{path.name} has no column {column!r}: it has {', '.join(table.column_names)}; "
                "set data.input_column, data.label_column or data.where to one of these."
            )
        if table.column_names.count(column) > 1:
            raise InputError(f"{path.name} has column {column!r} more than once: rename one of them.")
    numbers = pa.array(range(1, table.num_rows + 1))
    kept = _where(table, data.where)
    chosen = table.filter(kept)
    if chosen.num_rows == 0:
        raise InputError(f"data.where {data.where} keeps none of the {table.num_rows} rows of {path.name}: change it.")
    return RawRows(
        numbers=numbers.filter(kept).to_pylist(),
        inputs=_examples(chosen.column(data.input_column), path, data.input_column),
        labels=[_label(value) for value in chosen.column(data.label_column).to_pylist()],
        left_out=table.num_rows - chosen.num_rows,
    )


def read_table(path: Path, max_rows: int, text_columns: Sequence[str] = ()) -> pa.Table:
    """Read a file whole; `text_columns` stay text in CSV, where a label "007" or "true" would change its form.

    Raises:
        InputError: as `read`, for what concerns the file and not its columns.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path.name}: only files ending in {', '.join(READERS)} are read; convert it to one of them.")
    if not path.is_file():
        raise InputError(f"There is no file {path}: put the data there or correct its path in data of params.yaml.")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty: it needs a header and rows.")
    with path.open("rb") as file:
        if path.suffix.lower() != ".parquet" and file.read(2) in UTF16_MARKS:
            raise InputError(f"{path.name} is UTF-16, not UTF-8: convert it, for instance with iconv.")
    try:
        table = reader(path, text_columns)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise InputError(_reason(path, str(error))) from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror or error}): check the file.") from None
    if table.num_rows == 0:
        raise InputError(f"{path.name} has a header but no rows: put the data in.")
    if table.num_rows > max_rows:
        raise InputError(f"{path.name} has {table.num_rows} rows, over data.max_rows {max_rows}: raise it or sample.")
    not_utf8 = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if not_utf8:
        raise InputError(f"{path.name} is not UTF-8 in column {not_utf8[0]!r}: convert it, for instance with iconv.")
    return table


def _reason(path: Path, message: str) -> str:
    if "UTF8" in message.upper().replace("-", ""):
        return f"{path.name} is not UTF-8: convert it, for instance with iconv."
    # pyarrow goes on to quote the row it stumbled over; what users wrote belongs in no log.
    first = re.match(r"[A-Za-z ]*(: Expected \d+ columns, got \d+)?", message)
    assert first is not None
    return f"{path.name} cannot be read as {path.suffix[1:].upper()} ({first[0].strip()}): correct the file."


def _where(table: pa.Table, where: dict[str, str | int | float | bool]) -> pa.Array:
    columns = {name: table.column(name).to_pylist() for name in where}
    keep = [all(columns[name][i] == wanted for name, wanted in where.items()) for i in range(table.num_rows)]
    return pa.array(keep, type=pa.bool_())


def _examples(column: pa.ChunkedArray, path: Path, name: str) -> list[str | None]:
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"Column {name!r} of {path.name} holds {kind}, not text: set data.input_column to the text.")
    values: list[str | None] = column.to_pylist()
    filled = [value for value in values if value and value.strip()]
    if filled and all(_is_number(value) for value in filled[:SAMPLE_ROWS]):
        raise InputError(f"Column {name!r} of {path.name} holds numbers, not text: set data.input_column to the text.")
    return values


def _label(value: object) -> str | None:
    """JSONL and Parquet have booleans where CSV has their names: one label, one form."""
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
