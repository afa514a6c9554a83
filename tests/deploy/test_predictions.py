"""Files of the prediction log: what stands in them, and that a reader finds them whole."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deploy import predictions
from deploy.predictions import Request, new_path, read, remove_before, table_of, write
from tasks.errors import InputError
from tasks.problems.classification.answer import Answer

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)
HOUR = "2026-11-24T12"
VERSION = "0123456789ab"


def request(name: str, rows: int = 1, width: int = 2, inputs: list[str] | None = None) -> Request:
    """Row i is "label i" with probability i / 8 and the projection (i, i, ...)."""
    answers = [Answer(f"label {i}", i / 8) for i in range(rows)]
    projection = np.repeat(np.arange(rows, dtype=np.float32)[:, None], width, axis=1)
    return Request(NOON, name, VERSION, answers, projection, inputs)


def written(folder: Path, *requests: Request) -> Path:
    path = new_path(folder, HOUR)
    write(path, table_of(requests))
    return path


def tables(folder: Path, **arguments: Any) -> list[pa.Table]:
    return [table for _, table in read(folder, **arguments)]


def test_every_row_comes_back_with_its_columns(tmp_path: Path) -> None:
    path = written(tmp_path, request("a", rows=2), request("b"))
    [(name, table)] = read(tmp_path)
    assert name == path.name and name.startswith(f"{HOUR}-") and len(name) == len("2026-11-24T12-01234567.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "time": "timestamp[us, tz=UTC]",
        "request_id": "string",
        "row": "int32",
        "version": "string",
        "prediction": "string",
        "probability": "float",
        "projection": "fixed_size_list<element: float>[2]",
        "input": "string",
    }
    first = {"time": NOON, "request_id": "a", "row": 0, "version": VERSION, "prediction": "label 0", "input": None}
    second = first | {"row": 1, "prediction": "label 1", "probability": 0.125, "projection": [1.0, 1.0]}
    zeros = {"probability": 0.0, "projection": [0.0, 0.0]}
    assert table.to_pylist() == [first | zeros, second, first | zeros | {"request_id": "b"}]


def test_a_release_without_a_reference_has_no_projections(tmp_path: Path) -> None:
    written(tmp_path, request("a", rows=3, width=0))
    assert tables(tmp_path, columns=["projection"])[0].column("projection").to_pylist() == [None] * 3


def test_inputs_stand_beside_their_answers(tmp_path: Path) -> None:
    written(tmp_path, request("a", rows=2, inputs=["good", "好"]), request("b"))
    assert tables(tmp_path, columns=["input"])[0].column("input").to_pylist() == ["good", "好", None]


def test_a_reader_asks_for_columns_and_for_what_is_new(tmp_path: Path) -> None:
    path = written(tmp_path, request("a", rows=2))
    (tmp_path / "notes.parquet").write_text("no log file by its name")
    (tmp_path / f".{path.name}").write_text("half writt")
    [table] = tables(tmp_path, columns=["row", "time"])
    assert set(table.column_names) == {"row", "time"} and table.num_rows == 2
    assert tables(tmp_path, seen={path.name: 2}) == []
    write(path, table_of([request("a", rows=2), request("b")]))
    [table] = tables(tmp_path, seen={path.name: 2})
    assert table.column("request_id").to_pylist() == ["b"]


def test_files_come_in_the_order_of_their_hours_and_may_vanish_meanwhile(tmp_path: Path) -> None:
    paths = [new_path(tmp_path, f"2026-11-24T{hour}") for hour in ("23", "09", "10")]
    for path in paths:
        write(path, table_of([request("a")]))
    reading = read(tmp_path)
    assert next(reading)[0] == paths[1].name
    paths[2].unlink()
    assert [name for name, _ in reading] == [paths[0].name]
    assert list(read(tmp_path / "none")) == []


@pytest.mark.parametrize("fault", ["torn", "empty", "foreign", "unreadable"])
def test_a_file_that_is_no_log_file_is_named(tmp_path: Path, fault: str) -> None:
    path = written(tmp_path, request("a"))
    content = path.read_bytes()
    path.unlink()
    if fault == "foreign":
        pq.write_table(pa.table({"text": ["secret"]}), path)
    elif fault == "unreadable":
        path.mkdir()
    else:
        path.write_bytes(content[:-20] if fault == "torn" else b"")
    with pytest.raises(InputError, match=f"^Prediction log .*{path.name} cannot be read: delete it.$"):
        list(read(tmp_path))


def test_a_write_that_is_refused_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, request("a"))
    before = path.read_bytes()

    def refused(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="No space left"):
        write(path, table_of([request("a"), request("b")]))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_only_log_files_of_earlier_hours_are_removed(tmp_path: Path) -> None:
    names = [
        "2026-11-24T11-01234567.parquet", ".2026-11-24T11-01234567.parquet", "2025-12-31T23-01234567.parquet",
        "2026-11-24T12-01234567.parquet", "2026-11-24T11.parquet", "2026-11-24T11-01234567.parquet.bak", "a.parquet",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    remove_before(tmp_path, HOUR)
    assert {path.name for path in tmp_path.iterdir()} == set(names[3:])
    remove_before(tmp_path / "none", HOUR)


def test_a_kept_input_weighs_by_its_length() -> None:
    long = "x" * (3 * predictions.CHARACTERS_OF_A_ROW)
    assert request("a", rows=2, inputs=[long, "short"]).size == 5
    assert request("a", rows=2).size == 2
