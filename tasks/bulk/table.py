"""Answered rows -> CSV, JSONL or Parquet, a portion at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tasks.errors import InputError

GROUP_ROWS = 8192
Write = Callable[[pa.Table], None]


@contextmanager
def _csv(sink: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
    def write(table: pa.Table) -> None:
        writer.write_table(table)
        sink.flush()

    with pa.csv.CSVWriter(sink, schema) as writer:
        yield write


@contextmanager
def _jsonl(sink: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
    def write(table: pa.Table) -> None:
        for row in table.to_pylist():
            plain = {name: None if value != value else value for name, value in row.items()}
            sink.write(json.dumps(plain, ensure_ascii=False, default=str).encode("utf-8") + b"\n")

    yield write


@contextmanager
def _parquet(sink: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
    waiting: list[pa.Table] = []

    def write(table: pa.Table) -> None:
        waiting.append(table)
        if sum(one.num_rows for one in waiting) >= GROUP_ROWS:
            flush()

    def flush() -> None:
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
            waiting.clear()

    with pa.parquet.ParquetWriter(sink, schema) as writer:
        yield write
        flush()


WRITERS: dict[str, Callable[[BinaryIO, pa.Schema], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}


def refuse_unwritable(schema: pa.Schema, out: Path | None) -> None:
    """Before anything is answered.

    Args:
        schema: of the rows.
        out: where they go; None for CSV to standard output.

    Raises:
        InputError: a target of unknown form, in no folder, or unable to hold the columns.
    """
    if out is not None and out.suffix not in WRITERS:
        raise InputError(f"{out.name}: only files ending in {', '.join(WRITERS)} are written; name it so.")
    if out is not None and not out.parent.is_dir():
        raise InputError(f"There is no folder {out.parent} to write {out.name} into: make it.")
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested and (out is None or out.suffix == ".csv"):
        raise InputError(f"CSV cannot hold the nested column {nested[0]!r}: write with -o to .jsonl or .parquet.")


@contextmanager
def written(out: Path, schema: pa.Schema) -> Iterator[Write]:
    """A file that is there when the block has ended well, and stays as it was until then."""
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as sink, WRITERS[out.suffix](sink, schema) as write:
            yield write
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def csv_stream(sink: BinaryIO, schema: pa.Schema) -> AbstractContextManager[Write]:
    """CSV, of which a portion is on its way once it is written."""
    return _csv(sink, schema)
