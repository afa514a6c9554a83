"""Files of the prediction log: what was answered, in Parquet, by the hour.

predictions/2026-11-24T15-0123abcd.parquet    an hour (UTC) of one release in one server, which drew the 8 hex digits
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("time", "request_id", "row", "version", "prediction", "probability", "projection", "input")
HOUR = "%Y-%m-%dT%H"
NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)-[0-9a-f]{8}\.parquet")
CHARACTERS_OF_A_ROW = 1_000


@dataclass(frozen=True)
class Request:
    """One request's N answers.

    Attributes:
        time: when it was answered, in UTC.
        request_id: as told to the client.
        version: of the release that answered.
        answers: the answers, with `prediction` and `probability`.
        projection: (N, P) float32 of their pooled features; P is 0 where the release has no reference for drift.
        inputs: the texts, where they are to be kept.
    """

    time: datetime
    request_id: str
    version: str
    answers: Sequence[Any]
    projection: np.ndarray
    inputs: Sequence[str] | None

    @property
    def hour(self) -> str:
        """Of its answer, as file names have it."""
        return self.time.strftime(HOUR)

    @property
    def size(self) -> int:
        """Rows, and one more for every thousand characters that are kept: a bound on it bounds memory and disk."""
        return len(self.answers) + sum(len(text) // CHARACTERS_OF_A_ROW for text in self.inputs or ())


def table_of(requests: Sequence[Request]) -> pa.Table:
    """The rows of requests that one release answered, with `COLUMNS`."""
    import pyarrow as pa

    rows = [(request, i) for request in requests for i in range(len(request.answers))]
    columns = [
        pa.array([request.time for request, _ in rows], pa.timestamp("us", "UTC")),
        pa.array([request.request_id for request, _ in rows], pa.string()),
        pa.array([i for _, i in rows], pa.int32()),
        pa.array([request.version for request, _ in rows], pa.string()),
        pa.array([request.answers[i].prediction for request, i in rows], pa.string()),
        pa.array([request.answers[i].probability for request, i in rows], pa.float32()),
        _lists(np.concatenate([request.projection for request in requests])),
        pa.array([request.inputs[i] if request.inputs else None for request, i in rows], pa.string()),
    ]
    return pa.table(columns, names=list(COLUMNS))


def _lists(projection: np.ndarray) -> pa.Array:
    import pyarrow as pa

    rows, width = projection.shape
    if not width:  # Parquet has no lists of length 0
        return pa.nulls(rows, pa.list_(pa.float32(), 1))
    return pa.FixedSizeListArray.from_arrays(pa.array(projection.ravel(), pa.float32()), width)


def new_path(folder: Path, hour: str) -> Path:
    """A file for an hour that no other server writes."""
    return folder / f"{hour}-{token_hex(4)}.parquet"


def write(path: Path, table: pa.Table) -> None:
    """Write a file whole or leave it as before: a reader never sees half of it.

    Raises:
        OSError: the system refused.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Dictionaries of columns that seldom repeat take half of the time and save nothing.
    pq.write_table(table, sink, compression="zstd", use_dictionary=["version", "prediction"])
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}")
    try:
        with staged.open("wb") as file:
            file.write(sink.getvalue())
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def remove_before(folder: Path, hour: str) -> None:
    """Delete the files of earlier hours, and what a killed server left half written then."""
    for path in folder.iterdir() if folder.is_dir() else ():
        name = NAME.fullmatch(path.name.removeprefix("."))
        if name and name[1] < hour:
            path.unlink(missing_ok=True)


def read(
    folder: Path, columns: Sequence[str] | None = None, seen: Mapping[str, int] = MappingProxyType({})
) -> Iterator[tuple[str, pa.Table]]:
    """Name and new rows of every file that has some, oldest hour first; rows are in the order they were answered in.

    Args:
        folder: of a prediction log; it need not be there.
        columns: some of `COLUMNS`, all if None. `time` has microseconds and UTC; `row` is the place in the request;
            `projection` holds P numbers, the same P all through a file, or nulls where the release has no reference.
        seen: file name -> rows of it that were read before; a file only ever grows at its end.

    Raises:
        InputError: a file with such a name that is no whole log file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted(path for path in folder.glob("*.parquet") if NAME.fullmatch(path.name)):
        before = seen.get(path.name, 0)
        try:
            with pq.ParquetFile(path) as file:
                if set(file.schema_arrow.names) != set(COLUMNS):
                    raise ValueError("other columns")
                if file.metadata.num_rows <= before:
                    continue
                table = file.read(None if columns is None else list(columns))
        except FileNotFoundError:
            continue  # it has grown too old since the folder was listed
        except (OSError, ValueError, pa.ArrowException):
            raise InputError(f"Prediction log {path} cannot be read: delete it.") from None
        yield path.name, table.slice(before)
