"""CSV, JSONL and Parquet files -> Arrow tables, with limits and one sentence for every way to be unreadable."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from tasks.errors import InputError

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# A file is read whole, as one block.
MAX_FILE_BYTES = 2**31 - 1
# A file without a header has a row of somebody's text for one; what users wrote belongs in no log.
COLUMN_NAME = re.compile(r"^[\w .:/()-]{1,40}$")
NAMED_COLUMNS = 20
# What spreadsheets put in the place of a comma.
OTHER_SEPARATORS = {b";": "semicolons", b"\t": "tabs"}
MOST_HEADER_BYTES = 1 << 16


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
    return parse_jsonl(lambda: path, _block_bytes(path), text_columns)


def parse_jsonl(source: Callable[[], Any], size: int, text_columns: Sequence[str] | None) -> pa.Table:
    """Objects of whole lines, `size` bytes at most, from what `source` opens anew each time."""

    def parsed(texts: Sequence[str]) -> pa.Table:
        schema = pa.schema([(name, pa.string()) for name in texts])
        options = pa.json.ParseOptions(explicit_schema=schema)
        return pa.json.read_json(source(), pa.json.ReadOptions(block_size=size), options)

    texts = [*dict.fromkeys(text_columns or ())]
    try:
        table = parsed(texts)
    except pa.ArrowInvalid:  # numbers or booleans stand in one of them; in the others text that looks like a date stays
        table = parsed([])
        dates = [field.name for field in table.schema if field.name in texts and pa.types.is_temporal(field.type)]
        return parsed(dates) if dates else table
    # A column that the schema names and the file has not comes out empty.
    return table.drop_columns([name for name in texts if table.column(name).null_count == table.num_rows])


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


def read_table(path: Path, max_rows: int, text_columns: Sequence[str] | None = ()) -> pa.Table:
    """Read a file whole; `text_columns` stay text, where a label "007", "true" or "2024-01-01" would change its form.

    Args:
        path: the file.
        max_rows: more are refused.
        text_columns: None for all columns of a CSV.

    Raises:
        InputError: no such file, unknown ending, not UTF-8, broken or empty file, too many rows.
    """
    refuse_unlikely(path)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path.name} has {size / 1e9:.1f} GB, over the 2.1 that are read at once: sample it.")
    with told(path):
        table = READERS[path.suffix.lower()](path, text_columns)
    if table.num_rows == 0:
        raise InputError(f"{path.name} has a header but no rows: put the data in.")
    if table.num_rows > max_rows:
        raise InputError(f"{path.name} has {table.num_rows} rows, over data.max_rows {max_rows}: raise it or sample.")
    return table


def refuse_unlikely(path: Path) -> None:
    """Refuse what is no file of rows at first sight.

    Raises:
        InputError: no such file, unknown ending, empty file, UTF-16, a CSV of semicolons or tabs.
    """
    if path.suffix.lower() not in READERS:
        raise InputError(f"{path.name}: only files ending in {', '.join(READERS)} are read; convert it to one of them.")
    if not path.is_file():
        raise InputError(f"There is no file {path}: put it there or correct the path.")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty: it needs a header and rows.")
    with told(path), path.open("rb") as file:
        header = file.readline(MOST_HEADER_BYTES)
    if path.suffix.lower() != ".parquet" and header[:2] in UTF16_MARKS:
        raise InputError(f"{path.name} is UTF-16, not UTF-8: convert it, for instance with iconv.")
    if path.suffix.lower() == ".csv" and b"," not in header:
        for separator, name in OTHER_SEPARATORS.items():
            if separator in header:
                raise InputError(f"{path.name} separates its columns by {name}: write it with commas.")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What a reader raises, as an InputError."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise InputError(unreadable(path, str(error))) from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror or error}): check the file.") from None


def unreadable(path: Path, message: str) -> str:
    """What a reader says, without the content that it quotes."""
    if "UTF8" in message.upper().replace("-", ""):
        return f"{path.name} is not UTF-8: convert it, for instance with iconv."
    # pyarrow goes on to quote the row it stumbled over; what users wrote belongs in no log.
    told = re.match(r"[A-Za-z ]*", message)
    where = re.findall(r"in row \d+|Row #\d+|Expected \d+ columns, got \d+", message)
    assert told is not None
    if "changed from" in message:
        return f"{path.name} mixes types in a column ({', '.join(where)}): give the column one type."
    reason = ", ".join([told[0].strip(), *where])
    return f"{path.name} cannot be read as {path.suffix[1:].upper()} ({reason}): correct the file."


def check_columns(name: str, table: pa.Table, columns: Iterable[str], remedy: str) -> None:
    """Refuse a table in which one of `columns` is missing or stands twice; `remedy` says what to do of a missing one.

    Raises:
        InputError: with a sentence for every such column.
    """
    check_named(name, table, dict.fromkeys(columns, remedy))


def check_named(name: str, table: pa.Table, columns: Mapping[str, str]) -> None:
    """As `check_columns`, for columns with a remedy each."""
    faults = []
    for column, remedy in columns.items():
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
