"""Files are looked through before anything is answered, and come with all of their columns as they stand there."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.bulk.source import open_source, spooled
from tasks.errors import InputError
from tasks.rows import stream as streams
from tests.memory import forget_peak, peak_kib


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        lines = [",".join(f'"{value}"' for value in row.values()) for row in rows]
        path.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    source = open_source(path, "text")
    found = [row for table in source.tables() for row in table.to_pylist()]
    assert [row for table in source.tables() for row in table.to_pylist()] == found, "read anew from the first row"
    assert source.rows == len(found)
    assert all(table.schema == source.schema for table in source.tables())
    return found


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_all_columns_come_as_they_stand_there(tmp_path: Path, ending: str) -> None:
    rows = [
        {"code": "007", "text": "good", "when": "2026-03-02"},
        {"code": "true", "text": "bad", "when": "2026-03-03"},
    ]
    assert rows_of(write(tmp_path / f"in{ending}", rows)) == rows


def test_blocks_of_jsonl_share_what_columns_and_types_all_of_them_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCKS", (100, 1_000))
    early: list[dict[str, Any]] = [{"text": "good", "at": "2026-03-02", "n": 1, "in": {"at": "2026-03-02"}}] * 9
    late: list[dict[str, Any]] = [{"text": "bad", "at": "soon", "n": 0.5, "in": {"by": None}, "tags": ["a"]}] * 9
    found = rows_of(write(tmp_path / "in.jsonl", [*early, *late]))
    assert [row["text"] for row in found] == ["good"] * 9 + ["bad"] * 9
    assert [row["at"] for row in found] == ["2026-03-02"] * 9 + ["soon"] * 9
    assert (found[0]["n"], found[9]["n"]) == (1.0, 0.5)
    assert (found[0]["in"]["at"], found[0]["tags"], found[9]["tags"]) == ("2026-03-02", None, ["a"])


def test_a_column_of_two_types_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCKS", (100, 1_000))
    rows = [{"text": "good " * 30, "n": number if number < 9 else "many"} for number in range(20)]
    with pytest.raises(InputError, match=r"in\.jsonl mixes types \(.*Field n .*\): give the column one type"):
        open_source(write(tmp_path / "in.jsonl", rows), "text")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.csv", b"text,id\ngood,1\n" * 1 + b"bad\n", "Expected 2 columns, got 1"),
        ("in.csv", b"text\ngood\n\xff\xfe\xfa\n", "not UTF-8"),
        ("in.csv", b"text\n", "no rows"),
        ("in.jsonl", b'{"text": "good"}\n{"text": \n', "cannot be read as JSONL"),
        ("in.jsonl", b"\n\n", "no rows"),
        ("in.parquet", b"PAR1 and no more", "cannot be read as PARQUET"),
        ("in.csv", b"body\ngood\n", "has no column 'text': it has body; rename the one that holds the examples"),
        ("in.csv", b"text,text\ngood,bad\n", "'text' more than once"),
        ("in.txt", b"text\ngood\n", "only files ending in"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        open_source(tmp_path / name, "text")


def test_parquet_that_is_no_utf8_is_told_in_any_column(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    pq.write_table(pa.table({"text": ["good"], "who": broken}), tmp_path / "in.parquet")
    with pytest.raises(InputError, match="not UTF-8"):
        open_source(tmp_path / "in.parquet", "text")


def test_folder_lists_its_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(b"")
    source = open_source(tmp_path, "path")
    assert [row["path"] for table in source.tables() for row in table.to_pylist()] == ["a.png", "b.png"]
    assert (source.rows, source.folder) == (2, tmp_path)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_form_of_a_pipe_is_seen(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"in{ending}", [{"text": "good"}])
    with spooled(io.BytesIO(path.read_bytes())) as made:
        assert rows_of(made) == [{"text": "good"}]
    assert not made.exists()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    row = json.dumps({"text": "good " * 20, "id": 1}) + "\n"
    peaks = []
    for size in (40_000, 400_000):
        path = tmp_path / f"{size}.jsonl"
        with path.open("w") as file:
            file.writelines(row for _ in range(size))
        forget_peak()
        source = open_source(path, "text")
        assert source.rows == sum(table.num_rows for table in source.tables()) == size
        peaks.append(peak_kib())
    assert peaks[1] - peaks[0] < 20_000, "42 MB more of file"
