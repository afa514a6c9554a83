"""No secret stands in params.yaml, and those of the environment reach the driver whole."""

from __future__ import annotations

import pytest

from tasks.errors import InputError
from tasks.sources import url


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://ada:hunter2@db/rows",
        "postgresql://ada:hunter2/x@db/rows",
        "postgresql://ada:${NAME}hunter2@db/rows",
        "postgresql://db/rows?user=ada&password=hunter2",
        "s3://AKIA:hunter2@bucket/rows.csv",
        "https://hunter2@host/rows.csv",
        "https://host/rows.csv?X-Amz-Signature=hunter2",
        "https://host/rows.csv?token=hunter2",
        "https://host/rows.csv?auth=hunter2",
        "https://[host/rows.csv?token=hunter2",
        "https://ada:hun/ter2@host/rows.csv",
        "https://ada:hun?ter2@host/rows.csv",
        "https://ada:/@hunter2@host/rows.csv",
        "sftp://ada:hun/ter2@host/rows.csv",
        "ftp://ada:hun#ter2@host/rows.csv",
        "s3://AKIA:hun/ter2@bucket/rows.csv",
        "sqlite+pysqlcipher://:hunter2@//srv/rows.db",
        "zip://rows.csv::https://ada:hunter2@host/rows.zip",
        "https://host/rows.csv#access_token=hunter2",
        "https://host/rows.csv?page=1#access_token=hunter2",
        "https://host/rows.csv?page=1;token=hunter2",
        "https://host/rows.csv?to%6ben=hunter2",
        "https://host/rows.csv?token=${A}&token=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DODBC%3BUID%3Dada%3BPWD%3Dhunter2",
        "mssql+pyodbc:///?odbc_connect=PWD%3Dhunter2",
    ],
)
def test_a_secret_in_plain_words_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError) as caught:
        url.expanded(text)
    (sentence,) = caught.value.sentences
    assert "holds a password or a key" in sentence and "ter2" not in sentence


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://ada@db/rows",
        "postgresql+psycopg://ada:${PG}@db/rows",
        "sqlite:////srv/a@b:c/rows.db",
        "sqlite:///a:b@c.db",
        "file:///srv/a:b@c.csv",
        "s3://bucket/day=1/a@b.csv",
        "hf://datasets/owner/name@main/train.csv",
        "https://host/rows.csv?token=${TOKEN}&page=2",
        "https://host/rows.csv?author=ada",
        "https://host/a@b.csv?at=12:30",
        "https://host:8080/a%40b.csv",
        "github://owner:name@main/rows.csv",
        "sftp://ada@host/rows.csv",
        "abfs://container@account.dfs.core.windows.net/rows.csv",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DODBC%3BUID%3Dada%3BPWD%3D${PW}",
        "postgresql://ada:${PG}@db/rows?options=-c%20a@b",
    ],
)
def test_a_url_without_secrets_is_taken(text: str) -> None:
    url.refuse_secrets(text)


def test_variables_are_encoded_as_a_url_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG", "a@b/c d")
    assert url.expanded("postgresql://ada:${PG}@db/rows") == "postgresql://ada:a%40b%2Fc%20d@db/rows"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG", raising=False)
    with pytest.raises(InputError, match="environment variable PG, which is not set"):
        url.expanded("postgresql://ada:${PG}@db/rows")


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(InputError, match="no URL"):
        url.refuse_secrets("data/raw/rows.csv")


@pytest.mark.parametrize(
    ("text", "database"),
    [
        ("sqlite:///a.db", True),
        ("oracle+oracledb://h/x", True),
        ("snowflake://h/x", True),
        *(
            (f"{kind}://b/x", False)
            for kind in ("s3", "hf", "https", "abfss", "webdav", "memory", "github", "oci", "oss")
        ),
    ],
)
def test_what_is_a_database(text: str, database: bool) -> None:
    assert url.is_database(text) is database
