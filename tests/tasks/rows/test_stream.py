"""Files of any size come block by block, whatever lies across the blocks, and only what is wanted is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.rows import stream as streams
from tasks.rows.stream import stream


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCKS", (1_000, 20_000))
    monkeypatch.setattr(streams, "BATCH_ROWS", 70)


REMEDY = "name another"
ROWS = [{"text": f"row {number}\nof many", "label": number % 3} for number in range(500)]


def write(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([*rows]), path, row_group_size=70)
    else:
        lines = [f'"{row["text"]}",{row["label"]}' for row in rows]
        path.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    return path


def read(path: Path, columns: Sequence[str] = ("text", "label"), most: int = 10_000) -> list[dict[str, object]]:
    return [row for table in stream(path, most, dict.fromkeys(columns, REMEDY), columns) for row in table.to_pylist()]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_rows_come_in_order_and_whole_from_many_blocks(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"rows{ending}", ROWS)
    assert len([*stream(path, 500, {"text": REMEDY}, [])]) > 5
    found = read(path)
    assert [row["text"] for row in found] == [row["text"] for row in ROWS]
    assert [str(row["label"]) for row in found] == [str(row["label"]) for row in ROWS]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_row_longer_than_a_block_is_read_and_none_comes_twice(tmp_path: Path, ending: str) -> None:
    rows = [*ROWS[:200], {"text": "long " * 2_000, "label": 1}, *ROWS[200:]]
    assert [row["text"] for row in read(write(tmp_path / f"rows{ending}", rows))] == [row["text"] for row in rows]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_row_over_the_limit_is_refused_without_its_content(tmp_path: Path, ending: str) -> None:
    rows = [*ROWS, {"text": "secret " * 8_000, "label": 1}, *ROWS]
    with pytest.raises(InputError, match=r"rows\.\w+ has a row of more than 0 MB: take it out or cut it\.") as caught:
        read(write(tmp_path / f"rows{ending}", rows))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_the_stream_ends_where_there_are_too_many_rows(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"rows{ending}", ROWS)
    with pytest.raises(InputError, match=r"has more rows than data\.max_rows 499"):
        read(path, most=499)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_missing_column_is_told(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match="has no column 'who': it has text, label; name another"):
        read(write(tmp_path / f"rows{ending}", ROWS), ["text", "who"])


def test_a_column_that_only_some_blocks_of_jsonl_have_is_there(tmp_path: Path) -> None:
    rows = [*ROWS, *({"text": "late", "label": 1, "who": "me"} for _ in range(50))]
    found = read(write(tmp_path / "rows.jsonl", rows), ["text", "label", "who"])
    assert [row["who"] for row in found] == [None] * 500 + ["me"] * 50


@pytest.mark.parametrize("other", [2.0, "2", "2026-01-31"])
def test_a_column_that_is_text_in_the_end_has_one_type_in_all_blocks_of_jsonl(tmp_path: Path, other: object) -> None:
    rows = [*ROWS, *({"text": "late", "label": None} for _ in range(80)), {"text": "odd", "label": other}]
    path = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(
        InputError, match=r"rows\.jsonl mixes types in column 'label' \(int64, then \w+ behind row \d+\)"
    ):
        read(path)
    assert len([*stream(path, 2_000, {"label": REMEDY}, [])]) > 5, "a number that is none in the end may have decimals"


def test_a_fault_behind_the_first_block_is_told_without_its_content(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", ROWS)
    with path.open("a") as file:
        file.write("my secret,b,too many\n")
    with pytest.raises(InputError, match="Expected 2 columns, got 3") as caught:
        read(path)
    assert "secret" not in str(caught.value)
    write(path, ROWS).write_bytes(path.read_bytes().replace(b"row 499", b"r\xfcw 499"))
    with pytest.raises(InputError, match="is not UTF-8"):
        read(path)


def test_parquet_gives_the_columns_that_are_wanted_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", [row | {"thumb": b"\xff\xd8"} for row in ROWS])
    assert {*read(path, ["text"])[0]} == {"text"}


def test_a_batch_is_bounded_whatever_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCKS", (4_000_000,))
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "a,b\n" * 75)
    assert [table.num_rows for table in stream(path, 100, {"text": REMEDY}, [])] == [70, 5]


def test_the_row_of_a_fault_in_jsonl_is_counted_from_the_start(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [*ROWS, {"text": "mixed", "label": ["types"]}])
    with pytest.raises(InputError, match=r"mixes types in a column \(in row 500\)"):
        read(path, ["text"])


def test_what_arrow_does_not_read_yet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reader(*_: object) -> Iterator[pa.Table]:
        raise pa.ArrowNotImplementedError("Nested data conversions not implemented: private")

    monkeypatch.setitem(streams.STREAMS, ".parquet", reader)
    with pytest.raises(InputError, match=r"rows\.parquet cannot be read as PARQUET \(Nested data conversions not impl"):
        read(write(tmp_path / "rows.parquet", ROWS), ["text"])
