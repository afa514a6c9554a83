"""Encoded rows in an Arrow file that is written batch by batch and read memory-mapped: their arrays stay on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.modalities.contract import Arrays, Encoder

if TYPE_CHECKING:
    import pyarrow as pa

PREFIX = "encoded_"
BATCH_ROWS = 256
BATCH_BYTES = 64_000_000


def encode(encoder: Encoder, examples: Iterable[Any]) -> Iterator[Arrays]:
    """Encode a stream of examples, one batch of them in memory at a time."""
    for batch in _batches(examples, len):
        yield from encoder.encode(batch)


def _batches(stream: Iterable[Any], size: Callable[[Any], int]) -> Iterator[list[Any]]:
    """Rows in order, cut at `BATCH_ROWS`, or earlier where `BATCH_BYTES` are reached."""
    batch: list[Any] = []
    filled = 0
    for row in stream:
        batch.append(row)
        filled += size(row)
        if len(batch) == BATCH_ROWS or filled >= BATCH_BYTES:
            yield batch
            batch, filled = [], 0
    if batch:
        yield batch


def write(
    path: Path, encoded: Iterable[Arrays], columns: Callable[[int, int], Mapping[str, pa.Array]] | None = None
) -> None:
    """Write an Arrow IPC stream, the form `datasets.Dataset.from_file` opens.

    Args:
        path: of the file.
        encoded: one dict of 1-D arrays per row, at least one, all with the same names and types.
        columns: first row and the one behind the last -> name -> one value for each of them, written beside them.
    """
    import pyarrow as pa

    start = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    with pa.OSFile(str(path), "wb") as sink:
        for rows in _batches(encoded, lambda row: sum(array.nbytes for array in row.values())):
            arrays = dict(columns(start, start + len(rows))) if columns else {}
            arrays |= {f"{PREFIX}{name}": _list_array([row[name] for row in rows]) for name in sorted(rows[0])}
            batch = pa.RecordBatch.from_pydict(arrays)
            writer = writer or pa.ipc.new_stream(sink, batch.schema)
            writer.write_batch(batch)
            start += len(rows)
        assert writer is not None, "there is no row to write"
        writer.close()


def read(table: pa.Table) -> list[Arrays]:
    """The arrays of every row of a table that `write` made, without a copy; a view of each is in memory."""
    names = [name for name in table.column_names if name.startswith(PREFIX)]
    columns = [[array for chunk in table.column(name).chunks for array in _arrays(chunk)] for name in names]
    plain = [name.removeprefix(PREFIX) for name in names]
    return [dict(zip(plain, arrays, strict=True)) for arrays in zip(*columns, strict=True)]


def _list_array(arrays: Sequence[np.ndarray]) -> pa.Array:
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(arrays)))


def _arrays(chunk: pa.LargeListArray) -> list[np.ndarray]:
    offsets = chunk.offsets.to_numpy()
    return np.split(chunk.values.to_numpy()[offsets[0] : offsets[-1]], (offsets - offsets[0])[1:-1])
