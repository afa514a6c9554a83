"""Outputs are whole or as before, and the same whether they are written at once or by the portion."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tasks.bulk import table as tables
from tasks.bulk.table import csv_stream, refuse_unwritable, written
from tasks.errors import InputError

ROWS = pa.table({"text": ["good", 'a "b",\nc', None], "n": [0.5, float("nan"), None], "tags": [["a"], [], None]})
FLAT = ROWS.drop_columns(["tags"])


def write(out: Path, table: pa.Table) -> Path:
    with written(out, table.schema) as write:
        for start in range(table.num_rows):
            write(table.slice(start, 1))
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    return out


def test_csv_by_the_portion_is_that_of_the_whole(tmp_path: Path) -> None:
    whole = io.BytesIO()
    pa.csv.write_csv(FLAT, whole)
    assert write(tmp_path / "out.csv", FLAT).read_bytes() == whole.getvalue()


def test_jsonl_has_what_others_read(tmp_path: Path) -> None:
    lines = write(tmp_path / "out.jsonl", ROWS).read_text().splitlines()
    assert [json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in lines] == [
        {"text": "good", "n": 0.5, "tags": ["a"]},
        {"text": 'a "b",\nc', "n": None, "tags": []},
        {"text": None, "n": None, "tags": None},
    ]


def test_parquet_gathers_portions_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP_ROWS", 2)
    found = pq.ParquetFile(write(tmp_path / "out.parquet", ROWS))
    assert [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)] == [2, 1]
    assert found.read().drop_columns(["n"]) == ROWS.drop_columns(["n"])


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_what_breaks_off_leaves_the_file_as_it_was(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out{ending}"
    out.write_text("before")
    with pytest.raises(KeyboardInterrupt), written(out, FLAT.schema) as write:
        write(FLAT)
        raise KeyboardInterrupt
    assert (out.read_text(), [path.name for path in tmp_path.iterdir()]) == ("before", [out.name])


def test_a_portion_in_a_stream_is_on_its_way_at_once() -> None:
    raw = io.BytesIO()
    with csv_stream(io.BufferedWriter(raw), FLAT.schema) as write:  # type: ignore[type-var]
        write(FLAT.slice(0, 1))
        assert b"good" in raw.getvalue()


def test_targets_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    cases = {
        "only files ending in": (FLAT, tmp_path / "out.xlsx"),
        "There is no folder": (FLAT, tmp_path / "no/out.csv"),
        "nested column 'tags'": (ROWS, tmp_path / "out.csv"),
        "CSV cannot hold": (ROWS, None),
    }
    for words, (rows, out) in cases.items():
        with pytest.raises(InputError, match=words):
            refuse_unwritable(rows.schema, out)
    refuse_unwritable(ROWS.schema, tmp_path / "out.jsonl")
