"""SQLite, read only: rows in a fixed order, bounded, and one sentence for every refusal."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy.engine import Connection, CursorResult

from tasks.artifacts import sha256_file
from tasks.errors import InputError
from tasks.sources import batches, sql

SELECT = "SELECT text, label FROM rows"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.db", [(f"text {i}", "ab"[i % 2]) for i in range(50)])


def write(path: Path, rows: list[tuple[Any, Any]]) -> Path:
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (text, label)")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
    connection.close()
    return path


def take(database: Path, query: str | None = SELECT, url: str = "sqlite:///rows.db", max_rows: int = 1000) -> Path:
    sql.snapshot(url, query, database.parent / "rows.parquet", database.parent, max_rows)
    return database.parent / "rows.parquet"


def refusal(database: Path, *given: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        take(database, *given, **options)
    (sentence,) = caught.value.sentences
    return sentence


def test_rows_are_sorted_by_all_columns_so_that_their_order_there_leaves_no_trace(database: Path) -> None:
    first = sha256_file(take(database))
    table = pq.read_table(database.parent / "rows.parquet")
    assert table["text"].to_pylist() == sorted(f"text {i}" for i in range(50))
    write(database, [(f"text {i}", "ab"[i % 2]) for i in reversed(range(50))])
    assert sha256_file(take(database)) == first


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b", "ä b"])
def test_any_folder_may_hold_the_file_and_nothing_is_written_beside_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    database = write(tmp_path / name / "rows.db", [("one", "a"), ("two", "b")])
    assert pq.read_table(take(database)).num_rows == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_table_is_named_by_as_which_oracle_refuses(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    plain = Connection.exec_driver_sql

    def heard(connection: Connection, statement: str) -> CursorResult[Any]:
        said.append(statement)
        return plain(connection, statement)

    monkeypatch.setattr(Connection, "exec_driver_sql", heard)
    take(database)
    assert len(said) == 2 and not any(" AS " in statement.upper() for statement in said)


def test_an_order_of_the_query_is_kept(database: Path) -> None:
    take(database, f"{SELECT} ORDER BY length(text), text DESC;")
    assert pq.read_table(database.parent / "rows.parquet")["text"].to_pylist()[:2] == ["text 9", "text 8"]


@pytest.mark.parametrize(
    ("query", "is_sorted"),
    [
        ("select a from t order  by a", True),
        ("select a from (select a from t order by a) s", False),
        ("select a, 'order by' from t -- order by a", False),
        ("select a from t order by lower(a) desc", True),
        ("select row_number() over (order by a) from t", False),
    ],
)
def test_where_an_order_stands(query: str, is_sorted: bool) -> None:
    assert sql._is_sorted(query) is is_sorted


def test_more_rows_than_a_batch_come_whole(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BATCH_ROWS", 7)
    assert pq.ParquetFile(take(database)).metadata.num_row_groups == 8
    assert pq.read_table(database.parent / "rows.parquet").num_rows == 50


def test_a_colon_and_a_percent_of_the_query_are_its_own(database: Path) -> None:
    take(database, "SELECT text, label FROM rows WHERE text LIKE 'text 4%' OR text = ' :a'")
    assert pq.read_table(database.parent / "rows.parquet").num_rows == 11


def test_more_rows_than_allowed(database: Path) -> None:
    assert "more than 49 rows, which is data.max_rows" in refusal(database, max_rows=49)


def test_an_empty_result(database: Path) -> None:
    assert "has no rows" in refusal(database, f"{SELECT} WHERE label = 'c'")


def test_a_column_of_mixed_types(database: Path) -> None:
    write(database, [("a", "x"), ("b", 3)])
    assert refusal(database).startswith("Column 'label' of the result of source.query mixes types")


def test_a_type_that_changes_in_a_later_batch(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BATCH_ROWS", 7)
    write(database, [(f"{i:02}", 1 if i < 20 else "one") for i in range(30)])
    assert "mixes types (int64 and int and str, after row 14)" in refusal(database)


@pytest.mark.parametrize(
    ("value", "text"), [(1.5, "1.5"), (3, "3"), ("2026-01-31", "2026-01-31"), (" as it is ", " as it is ")]
)
def test_a_column_that_is_empty_at_first_is_text(
    value: object, text: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "BATCH_ROWS", 7)
    write(database, [(f"{i:02}", None if i < 20 else value) for i in range(30)])
    assert pq.read_table(take(database))["label"].to_pylist() == [None] * 20 + [text] * 10


def test_a_long_row(database: Path) -> None:
    write(database, [("a", "x"), ("b" * 10_000_000, "y")])
    assert "Row 2 of the result of source.query has 10.0 MB" in refusal(database)


def test_a_missing_column_and_a_missing_table(database: Path) -> None:
    assert "has no such column intent" in refusal(database, "SELECT text, intent FROM rows")
    assert "has no such table tickets" in refusal(database, "SELECT text FROM tickets")


def test_broken_sql(database: Path) -> None:
    assert "does not understand source.query" in refusal(database, "SELECT text,, label FROM rows")


def test_a_column_twice(database: Path) -> None:
    assert "a column twice" in refusal(database, "SELECT text, text FROM rows ORDER BY 1")


def test_comments_before_the_select_are_no_other_statement(database: Path) -> None:
    plain = sha256_file(take(database))
    for comment in ("-- of this year\n", "/* a\nb */ ", "\n-- a\n\n-- b\n"):
        assert sha256_file(take(database, f"{comment}{SELECT}")) == plain
    for hidden in ("-- SELECT\nDROP TABLE rows", "/* a */ DELETE FROM rows /* b */ SELECT 1", "/**/ " * 999 + "DROP"):
        assert "must be a SELECT" in refusal(database, hidden)


def test_what_is_no_select(database: Path) -> None:
    assert "must be a SELECT" in refusal(database, None)
    assert "must be a SELECT" in refusal(database, "DROP TABLE rows")
    write_in_with = "WITH x AS (SELECT 1) DELETE FROM rows WHERE text IN x ORDER BY 1"
    assert refusal(database, write_in_with)
    assert sql.snapshot("sqlite:///rows.db", SELECT, database.parent / "r.parquet", database.parent, 99)[0] == 50


def test_a_file_that_is_none(database: Path) -> None:
    assert "no SQLite file gone.db" in refusal(database, url="sqlite:///gone.db")
    assert not (database.parent / "gone.db").exists()
    database.write_bytes(b"no database at all" * 100)
    assert "is no database" in refusal(database)


def test_a_driver_that_is_not_installed_is_named(database: Path) -> None:
    assert "No dialect nosuch" in refusal(database, url="nosuch://host/x")
    assert "pip install 'mysqlclient'" in refusal(database, url="mysql://host/x")
    assert sql.PACKAGES["psycopg"] == "psycopg[binary]", "the bare package finds no libpq on most machines"


def test_a_full_disk_is_told_as_such(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sql, "write_parquet", full)
    assert refusal(database).startswith("Writing the snapshot was refused (No space left on device)")


def test_what_a_driver_says_is_not_quoted() -> None:
    said = sql.failure(ValueError("user ada with hunter2 at db"))
    assert said.sentences == [
        "The database of source.url gave no rows (ValueError): try source.query in its own client."
    ]


def test_values_that_arrow_does_not_know_become_text() -> None:
    (batch,) = batches.from_tuples(["a", "b"], [[({"k": 1}, None)]], "x")
    assert batch.to_pylist() == [{"a": '{"k": 1}', "b": None}]
