"""A real PostgreSQL: what it gives, what it refuses, and that no password gets out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.sources import sql
from tests.servers import PASSWORD, USER, free_port, postgresql

SELECT = "SELECT text, label FROM rows"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with postgresql() as port:
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(
                "CREATE TABLE rows AS SELECT 'text ' || i AS text, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END AS label, "
                "i::numeric / 2 AS half, now() AS at, jsonb_build_object('i', i) AS more, '{}'::json AS plain "
                "FROM generate_series(1, 12000) i"
            )
            connection.execute("CREATE USER bob PASSWORD 'bobs-own'")
        yield port


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS_PASSWORD", PASSWORD)
    monkeypatch.delenv("PGPASSWORD", raising=False)


def take(port: int, folder: Path, query: str = SELECT, **options: Any) -> tuple[int, str]:
    asked = {"user": USER, "password": "${ROWS_PASSWORD}", "database": "postgres"} | options
    url = f"postgresql+psycopg://{asked['user']}:{asked['password']}@127.0.0.1:{port}/{asked['database']}"
    return sql.snapshot(url, query, folder / "rows.parquet", folder, 20_000)


def refusal(*given: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        take(*given, **options)
    (sentence,) = caught.value.sentences
    assert PASSWORD not in sentence and "wrong" not in sentence
    return sentence


def test_rows_come_sorted_in_batches_with_their_types(port: int, tmp_path: Path) -> None:
    query = "SELECT text, label, half, at, more FROM rows"
    assert take(port, tmp_path, query) == (12000, "all columns")
    file = pq.ParquetFile(tmp_path / "rows.parquet")
    assert file.metadata.num_row_groups == 3
    assert [str(kind) for kind in file.schema_arrow.types] == [
        "string", "string", "double", "timestamp[us, tz=Etc/UTC]", "string",
    ] or str(file.schema_arrow.types[3]).startswith("timestamp[us, tz=")  # fmt: skip
    first = (tmp_path / "rows.parquet").read_bytes()
    take(port, tmp_path, query)
    assert (tmp_path / "rows.parquet").read_bytes() == first


def test_a_password_from_the_drivers_own_variable(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = f"postgresql+psycopg://{USER}@127.0.0.1:{port}/postgres"
    assert sql.snapshot(url, SELECT, tmp_path / "rows.parquet", tmp_path, 20_000)[0] == 12000


def test_a_wrong_password(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS_PASSWORD", "wrong")
    assert "refuses the user or the password" in refusal(port, tmp_path)


def test_a_port_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr("tasks.sources.patience.time.sleep", lambda seconds: None)
    assert "cannot be reached" in refusal(free_port(), tmp_path)


def test_a_host_that_takes_the_call_and_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    import socket

    monkeypatch.setitem(sql.TIMEOUTS, "postgresql", {"connect_timeout": 2})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "does not answer within" in refusal(silent.getsockname()[1], tmp_path)


def test_what_is_not_there(port: int, tmp_path: Path) -> None:
    assert "has no such database" in refusal(port, tmp_path, database="gone")
    assert "has no such column intent" in refusal(port, tmp_path, "SELECT text, intent FROM rows")
    assert "has no such table tickets" in refusal(port, tmp_path, "SELECT text FROM tickets")


def test_broken_sql(port: int, tmp_path: Path) -> None:
    assert "does not understand source.query" in refusal(port, tmp_path, "SELECT text FRM rows x y")


def test_a_user_who_may_not_read(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS_PASSWORD", "bobs-own")
    assert "lets this user not read that" in refusal(port, tmp_path, user="bob")


def test_a_column_that_cannot_be_sorted(port: int, tmp_path: Path) -> None:
    assert "with an ORDER BY of its own" in refusal(port, tmp_path, "SELECT text, plain FROM rows")


def test_a_query_that_writes(port: int, tmp_path: Path) -> None:
    query = "WITH gone AS (DELETE FROM rows RETURNING text) SELECT text FROM gone ORDER BY text"
    assert "is only read from" in refusal(port, tmp_path, query)
    assert take(port, tmp_path)[0] == 12000
