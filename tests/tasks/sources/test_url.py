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
    ],
)
def test_a_secret_in_plain_words_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError) as caught:
        url.expanded(text)
    (sentence,) = caught.value.sentences
    assert "holds a password or a key" in sentence and "hunter2" not in sentence


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://ada@db/rows",
        "postgresql+psycopg://ada:${PG}@db/rows",
        "sqlite:////srv/a@b:c/rows.db",
        "s3://bucket/day=1/a@b.csv",
        "hf://datasets/owner/name@main/train.csv",
        "https://host/rows.csv?token=${TOKEN}&page=2",
        "https://host/rows.csv?author=ada",
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
    [("sqlite:///a.db", True), ("oracle+oracledb://h/x", True), ("s3://b/x", False), ("hf://datasets/a/b/c", False)],
)
def test_what_is_a_database(text: str, database: bool) -> None:
    assert url.is_database(text) is database
