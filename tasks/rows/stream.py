"""CSV, JSONL and Parquet files of any size -> a stream of Arrow tables, a block of the file in memory at a time."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tasks.errors import InputError
from tasks.rows.table import check_named, parse_jsonl, refuse_unlikely, told

BATCH_ROWS = 8192
# A row may be as long as a block. Most files are read with the small one, as only a few have to be read again; of a CSV
# Arrow reads dozens of blocks ahead.
BLOCKS = (1_000_000, 64_000_000)
ROW = re.compile(r"in row (\d+)")


def stream(path: Path, max_rows: int, columns: Mapping[str, str], text_columns: Sequence[str]) -> Iterator[pa.Table]:
    """Rows of a file in order, in tables of at most `BATCH_ROWS`.

    Args:
        path: the file.
        max_rows: more are refused.
        columns: that it must have, each with what to do if it is missing. A CSV comes with all of its columns, as text;
            Parquet with these and `text_columns`, or all where these are none.
        text_columns: those that stay text in JSONL too, as far as they are; the file may lack what only they name.

    Raises:
        InputError: no such file, unknown ending, not UTF-8, broken or empty file, a missing column, a row over the
            limit, too many rows; some of it only when the place is reached.
    """
    refuse_unlikely(path)
    rows = 0
    with told(path):
        for block in STREAMS[path.suffix.lower()](path, columns, text_columns):
            rows += block.num_rows
            if rows > max_rows:
                raise InputError(f"{path.name} has more rows than data.max_rows {max_rows}: raise it or sample.")
            for start in range(0, block.num_rows, BATCH_ROWS):
                yield block.slice(start, BATCH_ROWS)
    if rows == 0:
        raise InputError(f"{path.name} has a header but no rows: put the data in.")


def _csv(path: Path, columns: Mapping[str, str], _: Sequence[str]) -> Iterator[pa.Table]:
    done = 0
    for block_bytes in BLOCKS:
        skip = done
        try:
            for block in _open_csv(path, columns, block_bytes):
                if skip < block.num_rows:
                    yield block.slice(skip)
                    done += block.num_rows - skip
                skip = max(0, skip - block.num_rows)
            return
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
    raise _too_long(path)


def _open_csv(path: Path, columns: Mapping[str, str], block_bytes: int) -> Iterator[pa.Table]:
    read = pa.csv.ReadOptions(block_size=block_bytes)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(path, read, parse) as opened:
        check_named(path.name, opened.schema.empty_table(), columns)
        types = {name: pa.string() for name in opened.schema.names}
    convert = pa.csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    with pa.csv.open_csv(path, read, parse, convert) as opened:
        for batch in opened:
            yield pa.table(batch)


def _jsonl(path: Path, columns: Mapping[str, str], text_columns: Sequence[str]) -> Iterator[pa.Table]:
    names: dict[str, None] = {}
    types: dict[str, pa.DataType] = {}
    done = 0
    for table in json_blocks(path, lambda source, size: parse_jsonl(source, size, text_columns)):
        _refuse_mixed(path, table, text_columns, types, done)
        done += table.num_rows
        names |= dict.fromkeys(table.column_names)
        for name in columns:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        yield table
    check_named(path.name, pa.table({name: pa.nulls(0) for name in names}), columns)


def json_blocks(path: Path, parse: Callable[[Callable[[], Any], int], pa.Table]) -> Iterator[pa.Table]:
    """Whole lines of a JSONL file, a block at a time.

    Args:
        path: the file.
        parse: of what opens a block anew each time, and its bytes at most.

    Raises:
        InputError: a row over the limit.
        pa.ArrowInvalid: as `parse` raises it, but with the row's place in the file.
    """
    done = 0
    for block in _whole_lines(path):
        try:
            table = parse(functools.partial(pa.BufferReader, block), len(block) + 1)
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(ROW.sub(lambda found: f"in row {done + int(found[1])}", str(error))) from None  # noqa: B023
        yield table
        done += table.num_rows


def _refuse_mixed(
    path: Path, table: pa.Table, columns: Sequence[str], types: dict[str, pa.DataType], done: int
) -> None:
    """Each block has its own types, by which the same label would be 1 in one and 1.0 in the next."""
    for name in dict.fromkeys(columns):
        if name not in table.column_names:
            continue
        column = table.column(name)
        if column.null_count < len(column) and types.setdefault(name, column.type) != column.type:
            raise InputError(
                f"{path.name} mixes types in column {name!r} ({types[name]}, then {column.type} behind row {done}): "
                "give the column one type."
            )


def _whole_lines(path: Path) -> Iterator[bytes]:
    rest = b""
    with path.open("rb") as file:
        while read := file.read(BLOCKS[0]):
            lines, newline, rest = (rest + read).rpartition(b"\n")
            if len(rest) > BLOCKS[-1]:
                raise _too_long(path)
            if lines.strip():
                yield lines + newline
    if rest.strip():
        yield rest


def _parquet(path: Path, columns: Mapping[str, str], text_columns: Sequence[str]) -> Iterator[pa.Table]:
    with pa.parquet.ParquetFile(path, buffer_size=BLOCKS[0], pre_buffer=False) as file:
        check_named(path.name, file.schema_arrow.empty_table(), columns)
        for batch in file.iter_batches(BATCH_ROWS, columns=[*dict.fromkeys([*columns, *text_columns])] or None):
            yield pa.table(batch)


def _too_long(path: Path) -> InputError:
    return InputError(f"{path.name} has a row of more than {BLOCKS[-1] // 1_000_000} MB: take it out or cut it.")


STREAMS: dict[str, Callable[[Path, Mapping[str, str], Sequence[str]], Iterator[pa.Table]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
