"""A query of a database that SQLAlchemy knows -> rows in a fixed order, read only, by a cursor on the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tasks.errors import InputError, refused_write
from tasks.rows.table import COLUMN_NAME
from tasks.sources.batches import BATCH_ROWS, from_tuples, write_parquet
from tasks.sources.patience import CONNECT_SECONDS, patiently
from tasks.sources.url import expanded

RESULT = "the result of source.query"
TIMEOUTS = {
    "postgresql": {"connect_timeout": CONNECT_SECONDS},
    "mysql": {"connect_timeout": CONNECT_SECONDS},
    "mariadb": {"connect_timeout": CONNECT_SECONDS},
    "sqlite": {"timeout": CONNECT_SECONDS},
}
PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
# What databases say, in the order in which it is looked for -> what is wrong, and what to do.
SAID = (
    (
        r"password authentication failed|no password supplied|access denied|authentication failed|pg_hba",
        "refuses the user or the password: correct the user, and the environment variable that holds the password",
    ),
    (r"time-?out|timed out", f"does not answer within {CONNECT_SECONDS} seconds: check host, port and firewall"),
    (
        r'database "[^"]*" does not exist|unknown database|unable to open database',
        "has no such database: correct source.url",
    ),
    (r"no such column|column .*does not exist|unknown column", "has no such column{name}: correct source.query"),
    (r"no such table|relation .*does not exist|table .*doesn't exist", "has no such table{name}: correct source.query"),
    (r"ordering operator", "cannot sort by each column: end source.query with an ORDER BY of its own"),
    (r"more than once|duplicate column|ambiguous", "gives a column twice: name the columns in source.query"),
    (r"read-?only|data-modifying", "is only read from: let source.query be a SELECT"),
    (r"permission denied|not authorized|denied", "lets this user not read that: grant SELECT to it"),
    (r"syntax error|incomplete input|unrecognized token", "does not understand source.query: correct its syntax"),
    (r"file is not a database", "is no database: correct source.url"),
    (
        r"refused|translate host|not known|resolve|no route|unreachable|could not connect|connection failed",
        "cannot be reached: check host and port in source.url",
    ),
)
SELECT = re.compile(r"(?>\s|--[^\n]*\n|/\*.*?\*/)*(?:select|with)\b", re.IGNORECASE | re.DOTALL)  # behind comments
NAMED = re.compile(r"(?:no such (?:column|table):|column|relation|unknown column) [\"']?([\w.]+)", re.IGNORECASE)
TRANSIENT = re.compile(r"connection refused|reset by peer|server closed|starting up|too many (clients|connections)")


def snapshot(url: str, query: str | None, path: Path, base: Path, max_rows: int) -> tuple[int, str]:
    """Write what a query gives to a Parquet file.

    Args:
        url: as params.yaml has it.
        query: one SELECT; without an ORDER BY it is sorted by all its columns, so that equal rows are equal bytes.
        path: of the new file.
        base: the folder from which the path of an SQLite file counts.
        max_rows: more are refused.

    Returns:
        Count of rows, and what sorted them.

    Raises:
        InputError: whatever the database, its driver or the query refuse; or rows that cannot be kept.
    """
    select = _select(query)
    try:
        engine = _engine(url, base)

        def attempt() -> tuple[int, str]:
            with engine.connect() as opened:
                return _taken(_read_only(opened, engine), select, path, max_rows)

        return patiently(attempt, _is_transient)
    except InputError:
        raise
    except Exception as error:  # drivers raise errors of their own on the way
        refusal = refused_write(error, "the snapshot") if isinstance(error, OSError) else None
        raise InputError(refusal) if refusal else failure(error) from None


def _select(query: str | None) -> str:
    plain = (query or "").strip().rstrip(";").strip()
    if not SELECT.match(plain):
        raise InputError("source.query must be a SELECT, for source.url names a database: set it.")
    return plain


def _engine(url: str, base: Path) -> Engine:
    try:
        parsed = make_url(expanded(url))
        dialect = parsed.get_backend_name()
        if dialect == "sqlite":
            file = base / (parsed.database or "")
            if not file.is_file():
                raise InputError(f"There is no SQLite file {file.name}: correct source.url.")
            parsed = parsed.set(database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"})
        return create_engine(parsed, poolclass=NullPool, connect_args=TIMEOUTS.get(dialect, {}), hide_parameters=True)
    except NoSuchModuleError:
        name = re.sub(r"[^\w+]", "", url.partition("://")[0])
        raise InputError(
            f"No dialect {name} is installed for source.url: install the package that SQLAlchemy names for it, or "
            "correct the URL."
        ) from None
    except ModuleNotFoundError as error:
        name = error.name or "the driver"
        raise InputError(
            f"source.url needs the Python package {name}: pip install '{PACKAGES.get(name, name)}'."
        ) from None
    except (ArgumentError, ValueError):
        raise InputError("source.url is no URL that SQLAlchemy reads: correct it.") from None


def _read_only(connection: Connection, engine: Engine) -> Connection:
    options: dict[str, Any] = {"no_parameters": True}
    if engine.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    return connection.execution_options(**options)


def _taken(connection: Connection, select: str, path: Path, max_rows: int) -> tuple[int, str]:
    # Without AS, which Oracle refuses before the name of a table.
    sort, statement, whole = "source.query", select, f"SELECT * FROM (\n{select}\n) snapshot"
    if not _is_sorted(select):
        columns = [*connection.exec_driver_sql(f"{whole} WHERE 1 = 0").keys()]
        order = ", ".join(str(place) for place in range(1, len(columns) + 1))
        sort, statement = "all columns", f"{whole} ORDER BY {order}"
    result = connection.execution_options(yield_per=BATCH_ROWS).exec_driver_sql(statement)
    names = [*result.keys()]
    if len({*names}) < len(names):
        raise InputError(f"{RESULT.capitalize()} has a column twice: name the columns in source.query.")
    parts: Iterator[Any] = result.partitions(BATCH_ROWS)
    batches: Iterator[pa.RecordBatch] = from_tuples(names, parts, RESULT)
    return write_parquet(path, batches, max_rows, RESULT.capitalize()), sort


def _is_sorted(select: str) -> bool:
    """Whether an ORDER BY stands outside all parentheses, texts and comments."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/", " ", select, flags=re.DOTALL)
    while plain != (plain := re.sub(r"\([^()]*\)", " ", plain)):
        pass
    return re.search(r"\border\s+by\b", plain, re.IGNORECASE) is not None


def _is_transient(error: Exception) -> bool:
    return isinstance(error, SQLAlchemyError) and TRANSIENT.search(str(error).lower()) is not None


def failure(error: Exception) -> InputError:
    """The sentence for what a driver said; it quotes nothing but the name of a column or table."""
    said = str(getattr(error, "orig", None) or error)
    for pattern, told in SAID:
        if re.search(pattern, said, re.IGNORECASE):
            found = NAMED.search(said)
            name = f" {found[1]}" if found and COLUMN_NAME.match(found[1]) else ""
            return InputError(f"The database of source.url {told.format(name=name)}.")
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    kind = type(error).__name__ + (f" {state}" if state else "")
    return InputError(f"The database of source.url gave no rows ({kind}): try source.query in its own client.")
