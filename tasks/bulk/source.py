"""What is to be answered: a file or a folder, looked through once before anything is spent on it, then streamed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

from tasks.errors import InputError
from tasks.rows.folder import read_folder
from tasks.rows.stream import json_blocks, stream
from tasks.rows.table import check_columns, parse_jsonl, refuse_unlikely, told

FIRST_BYTES = 4096
PIPE = "standard input"
Tables = Callable[[], Iterator[pa.Table]]


@dataclass(frozen=True)
class Source:
    """Rows with all of their columns, a block of them in memory at a time.

    Attributes:
        schema: of every block; what a CSV holds is text, and so are the dates of JSONL.
        rows: how many there are, at least 1.
        folder: from where the files count that the cells name.
        tables: reads the blocks, each time from the first on.
    """

    schema: pa.Schema
    rows: int
    folder: Path
    tables: Tables


def open_source(path: Path, column: str, folder: Path | None = None) -> Source:
    """Look through all rows, so that what cannot be read is told before any is answered.

    Args:
        path: CSV, JSONL or Parquet file of any size, or a folder as `read_folder` has it.
        column: that holds the examples.
        folder: from where the files count that the cells name; where they lie, if None.

    Raises:
        InputError: no such file or folder, unknown ending, not UTF-8, broken or empty file, a row over the limit of
            `stream`, a column of two types, `column` missing or twice.
    """
    if path.is_dir():
        table = read_folder(path, sys.maxsize, None, labelled=False).table
        schema, rows, tables = table.schema, table.num_rows, lambda: iter([table])
    else:
        refuse_unlikely(path)
        with told(path):
            schema, rows, tables = OPENERS[path.suffix.lower()](path)
    if rows == 0:
        raise InputError(f"{path.name} has no rows: put the data in.")
    check_columns(path.name, schema.empty_table(), [column], "rename the one that holds the examples")
    return Source(schema, rows, folder or (path if path.is_dir() else path.parent), tables)


@contextmanager
def spooled(content: BinaryIO) -> Iterator[Path]:
    """What comes through a pipe, as a file while the block runs; its first bytes say which kind it is."""
    with tempfile.TemporaryDirectory() as folder:
        first = content.read(FIRST_BYTES)
        kind = ".parquet" if first.startswith(b"PAR1") else ".jsonl" if first.lstrip()[:1] == b"{" else ".csv"
        path = Path(folder) / f"{PIPE}{kind}"
        with path.open("wb") as file:
            file.write(first)
            shutil.copyfileobj(content, file)
        try:
            yield path
        except InputError as error:  # the ending is ours
            raise InputError([one.replace(path.name, PIPE) for one in error.sentences]) from None


def _csv(path: Path) -> tuple[pa.Schema, int, Tables]:
    def tables() -> Iterator[pa.Table]:
        return stream(path, sys.maxsize, {}, [])

    return *_survey(tables()), tables


def _parquet(path: Path) -> tuple[pa.Schema, int, Tables]:
    def tables() -> Iterator[pa.Table]:
        return stream(path, sys.maxsize, dict.fromkeys(pa.parquet.read_schema(path).names, ""), [])

    return *_survey(tables()), tables


def _jsonl(path: Path) -> tuple[pa.Schema, int, Tables]:
    """A block has the columns and types of its own rows: those of all blocks are known at the end only."""
    first = json_blocks(path, lambda source, size: parse_jsonl(source, size, None))
    try:
        schema, rows = _survey(first, _undated)
    except pa.ArrowTypeError as error:
        raise InputError(f"{path.name} mixes types ({error}): give the column one type.") from None

    def parse(source: Callable[[], Any], size: int) -> pa.Table:
        options = pa.json.ReadOptions(block_size=size)
        return pa.json.read_json(source(), options, pa.json.ParseOptions(explicit_schema=schema))

    return schema, rows, lambda: json_blocks(path, parse)


OPENERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _survey(
    tables: Iterable[pa.Table], kept: Callable[[pa.Schema], pa.Schema] = lambda schema: schema
) -> tuple[pa.Schema, int]:
    """What all blocks have in common, and their rows; Parquet promises UTF-8 and checks nothing."""
    whole, rows = pa.schema([]), 0
    for table in tables:
        table.validate(full=True)
        schema = kept(table.schema)
        if rows == 0:
            whole = schema
        elif schema != whole:
            whole = pa.unify_schemas([whole, schema], promote_options="permissive")
        rows += table.num_rows
    return whole, rows


def _undated(schema: pa.Schema) -> pa.Schema:
    """Text that looks like a date stays the text it is."""
    return pa.schema([field.with_type(_plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind.fields])
    return pa.list_(_plain(kind.value_type)) if pa.types.is_list(kind) else kind
