"""The first rows of each format, with all of their columns; what cannot be read is left to whoever reads it in full."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from tasks.rows import head as heads
from tasks.rows.head import head

TABLE = pa.table({"text": [f"text {i}" for i in range(9)], "label": ["007"] * 9, "count": list(range(9))})


def write(path: Path) -> Path:
    if path.suffix == ".csv":
        pa.csv.write_csv(TABLE, path)
    elif path.suffix == ".parquet":
        pa.parquet.write_table(TABLE, path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in TABLE.to_pylist()))
    return path


@pytest.mark.parametrize("suffix", heads.HEADS)
def test_the_first_rows_with_all_columns(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows{suffix}")
    for rows in (4, 9, 100):
        found = head(path, ("text", "label"), rows)
        assert found is not None and found.to_pylist() == TABLE.to_pylist()[:rows]


@pytest.mark.parametrize("suffix", heads.HEADS)
def test_long_rows_are_fewer(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "BYTES", 150)
    monkeypatch.setattr(heads, "BLOCK_BYTES", 40)
    monkeypatch.setattr(heads, "BATCH_ROWS", 2)
    found = head(write(tmp_path / f"rows{suffix}"), ("text", "label"))
    assert found is not None and 2 <= found.num_rows < 9
    assert found.to_pylist() == TABLE.to_pylist()[: found.num_rows]


def test_blocks_of_a_long_file_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "BLOCK_BYTES", 40)
    found = head(write(tmp_path / "rows.csv"), ("label",), 7)
    assert found is not None and found.to_pylist() == TABLE.to_pylist()[:7]


def test_a_column_that_fills_up_late_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "BLOCK_BYTES", 64)
    (tmp_path / "rows.csv").write_text("text,score,note\n" + "some text,0.5,\n" * 9 + "some text,0.5,late\n")
    found = head(tmp_path / "rows.csv", ("text",))
    assert found is not None and 0 < found.num_rows < 10
    assert found.column("score").to_pylist() == [0.5] * found.num_rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"a,b\n1\n"),
        ("a.jsonl", b"{"),
        ("a.parquet", b"PAR1"),
        ("a.xlsx", b"x"),
        ("a.csv", b"a\n\xff\n"),
    ],
)
def test_what_cannot_be_read_is_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert head(tmp_path / name, ("a",)) is None


def test_a_folder_and_what_is_not_there_are_none(tmp_path: Path) -> None:
    assert head(tmp_path) is None and head(tmp_path / "gone.csv") is None
