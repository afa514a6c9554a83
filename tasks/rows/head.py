"""The first rows of a file with all of its columns, in bounded memory: enough to see what kind of columns they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

ROWS, BYTES = 20_000, 1 << 26
BLOCK_BYTES = 1 << 24
BATCH_ROWS = 512  # of Parquet


def head(path: Path, text_columns: tuple[str, ...] = (), rows: int = ROWS) -> pa.Table | None:
    """At most `rows` rows, fewer of long ones; None for a folder, and for what cannot be read, as others tell.

    Where a later block cannot be read, or not with the types that the first one has, the rows before it.

    Args:
        path: CSV, JSONL or Parquet.
        text_columns: those of a CSV that stay text, where a label "007" would change its form.
        rows: at most.
    """
    parts, left, size = [], rows, 0
    with suppress(KeyError, OSError, UnicodeDecodeError, pa.ArrowException):
        for part in HEADS[path.suffix.lower()](path, text_columns, rows) if path.is_file() else ():
            parts.append(part.slice(0, left))
            left -= parts[-1].num_rows
            size += parts[-1].nbytes
            if left <= 0 or size >= BYTES:
                break
    return pa.concat_tables(parts) if parts else None


def _csv(path: Path, text_columns: tuple[str, ...], _: int) -> Iterator[pa.Table]:
    read = pa.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(text_columns, pa.string()), null_values=[""], strings_can_be_null=True
    )
    with pa.csv.open_csv(path, read, parse, convert) as opened:
        for batch in opened:
            yield pa.table(batch)


def _jsonl(path: Path, _: tuple[str, ...], rows: int) -> Iterator[pa.Table]:
    lines = b"".join(_lines(path, rows))
    yield pa.json.read_json(io.BytesIO(lines), pa.json.ReadOptions(block_size=max(1 << 20, len(lines) + 1)))


def _lines(path: Path, rows: int) -> Iterator[bytes]:
    left = BYTES
    with path.open("rb") as file:
        for _ in range(rows):
            line = file.readline(left + 1)
            left -= len(line)
            if not line or left < 0:
                return
            yield line if line.endswith(b"\n") else line + b"\n"


def _parquet(path: Path, _: tuple[str, ...], rows: int) -> Iterator[pa.Table]:
    with pa.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.table(batch)


HEADS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
