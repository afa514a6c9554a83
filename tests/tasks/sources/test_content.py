"""A snapshot that no run could use never replaces one that runs can."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tasks.errors import InputError
from tasks.params import Data
from tasks.rows.read import batches
from tasks.sources import content
from tests.projects import REPO


def data(**changes: Any) -> Data:
    section = yaml.safe_load((REPO / "params.yaml").read_text())["data"]
    return Data.model_validate(section | {"where": {}, "input_column": "text", "label_column": "label"} | changes)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0]), *(",".join(f'"{cell}"' for cell in row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return path


def rows(count: int = 20) -> list[dict[str, Any]]:
    return [{"text": f"text\n{i}", "label": "ab"[i % 2], "channel": "email"} for i in range(count)]


def look(path: Path, given: list[dict[str, Any]], **changes: Any) -> int:
    return content.inspect(write(path, given), data(**changes), "the source")


def refusal(*given: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        look(*given, **options)
    (sentence,) = caught.value.sentences
    assert "text\n" not in sentence
    return sentence


ENDINGS = pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])


@ENDINGS
def test_every_format_is_read_to_the_end(name: str, tmp_path: Path) -> None:
    assert look(tmp_path / name, rows(), where={"channel": "email"}) == 20


@ENDINGS
def test_a_row_of_ten_megabytes(name: str, tmp_path: Path) -> None:
    given = [*rows(3), {"text": "x" * 10_000_000, "label": "a", "channel": "email"}]
    told = refusal(tmp_path / name, given)
    assert "a row of more than 4.2 MB" in told or "Row 4 of the source has 10.0 MB" in told


def test_mixed_types_in_a_column(tmp_path: Path) -> None:
    given = [*rows(3), {"text": "x", "label": 3, "channel": "email"}]
    assert "mixes types in a column" in refusal(tmp_path / "rows.jsonl", given)


def test_nan_labels(tmp_path: Path) -> None:
    given = [{"text": "x", "label": 1.0}, {"text": "y", "label": math.nan}]
    assert "Row 2 of the source has the label NaN" in refusal(tmp_path / "rows.parquet", given)


def test_missing_labels_are_left_to_the_quarantine(tmp_path: Path) -> None:
    assert look(tmp_path / "rows.parquet", [*rows(), {"text": "y", "label": None, "channel": "email"}]) == 21


@ENDINGS
def test_ten_thousand_classes(name: str, tmp_path: Path) -> None:
    given = [{"text": f"x{i}", "label": f"l{i}"} for i in range(10_000)]
    assert "has more than 1000 labels, which is data.max_labels" in refusal(tmp_path / name, given, max_rows=20_000)


def test_labels_that_where_leaves_out_do_not_count(tmp_path: Path) -> None:
    given = rows() + [{"text": "x", "label": f"l{i}", "channel": "chat"} for i in range(50)]
    assert look(tmp_path / "rows.csv", given, where={"channel": "email"}, max_labels=10) == 70
    assert "more than 10 labels" in refusal(tmp_path / "rows.csv", given, max_labels=10)
    assert "keeps none of the 70 rows of the source" in refusal(tmp_path / "rows.csv", given, where={"channel": "fax"})


@ENDINGS
def test_a_missing_column(name: str, tmp_path: Path) -> None:
    told = refusal(tmp_path / name, rows(), label_column="intent")
    assert told.startswith("the source has no column 'intent': it has text, label, channel;")


@pytest.mark.parametrize(
    ("cells", "wanted"), [(("True", "False"), True), (("1.0", "2.0"), 1), (("1", "0"), True), (("a", "b"), "a")]
)
def test_where_keeps_the_rows_of_a_snapshot_that_it_keeps_in_a_run(
    cells: tuple[str, str], wanted: bool | int | str, tmp_path: Path
) -> None:
    given = [row | {"kept": cells[i % 4 > 1]} for i, row in enumerate(rows())]
    path = write(tmp_path / "rows.csv", given)
    assert sum(len(part.numbers) for part in batches(path, data(where={"kept": wanted}))) == 10
    assert look(path, given, where={"kept": wanted}) == 20


@ENDINGS
def test_a_column_that_places_rows_or_has_a_rule_is_missed_too(name: str, tmp_path: Path) -> None:
    for changes in ({"group_column": "customer"}, {"rules": {"customer": {"unique": True}}}):
        assert "has no column 'customer'" in refusal(tmp_path / name, rows(), **changes)


def test_one_label(tmp_path: Path) -> None:
    assert "has 1 labels, and two at least" in refusal(tmp_path / "rows.csv", rows()[:1])


def test_lists_are_no_labels(tmp_path: Path) -> None:
    assert "which is no label" in refusal(tmp_path / "rows.parquet", [{"text": "x", "label": ["a"]}])


def test_too_many_rows(tmp_path: Path) -> None:
    told = "the source has more rows than data.max_rows 19"
    assert told in refusal(tmp_path / "rows.csv", rows(), max_rows=19)
    with pytest.raises(InputError, match=told):
        content.count(tmp_path / "rows.csv", 19, "the source")


@ENDINGS
def test_rows_of_columns_that_nobody_knows_yet_are_counted(name: str, tmp_path: Path) -> None:
    assert content.count(write(tmp_path / name, rows()), 1000, "the source") == 20
    long = write(tmp_path / name, [*rows(3), {"text": "x" * 5_000_000, "label": "a", "channel": "email"}])
    with pytest.raises(InputError, match=r"Row 4 of the source has 5\.0 MB"):
        content.count(long, 1000, "the source")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"note": None}, {"note": "x"}),
        ({}, {"note": "x"}),
        ({"note": 1}, {"note": 0.5}),
        ({"note": {"a": 1}}, {"note": {"a": 1, "b": "c"}}),
        ({"note": "2024-01-01"}, {"note": "n/a"}),
    ],
)
def test_a_column_that_no_run_reads_may_hold_what_it_will(
    first: dict[str, Any], then: dict[str, Any], tmp_path: Path
) -> None:
    given = [{"text": f"{i} " + "x" * 500_000, "label": "ab"[i % 2]} | (first if i < 10 else then) for i in range(12)]
    path = write(tmp_path / "rows.jsonl", given)
    assert sum(len(part.numbers) for part in batches(path, data())) == 12
    assert content.inspect(path, data(), "the source") == content.count(path, 1000, "the source") == 12


def test_columns_with_more_gaps_than_their_rule_allows(tmp_path: Path) -> None:
    rules = {"channel": {"max_missing_share": 0.1}}
    given = [row | {"channel": None} for row in rows(4)]
    told = refusal(tmp_path / "rows.parquet", rows(16) + given, rules=rules)
    assert told.startswith("the source: column 'channel' is empty in 4 of 20 rows")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("rows.csv", "text,label\n", "has a header but no rows"),
        ("rows.csv", "", "is empty"),
        ("rows.jsonl", "", "is empty"),
    ],
)
def test_no_rows(name: str, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"the source {told}"):
        content.inspect(tmp_path / name, data(), "the source")


@ENDINGS
def test_broken_files_are_not_quoted(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'text,label\n"private message,a,b,c\n{"text": "private message"')
    with pytest.raises(InputError) as caught:
        content.inspect(tmp_path / name, data(), "the source")
    assert "private" not in caught.value.sentences[0]


@pytest.mark.parametrize("example", [b"text", 7])
def test_examples_that_are_no_text(example: object, tmp_path: Path) -> None:
    given = [row | {"text": example} for row in rows()]
    told = refusal(tmp_path / "rows.parquet", given)
    assert told.startswith("Column 'text' of the source holds ") and "not text" in told


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_examples_that_are_text_of_another_kind(kind: pa.DataType, tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows())
    pq.write_table(table.set_column(0, "text", table["text"].cast(kind)), tmp_path / "rows.parquet")
    assert content.inspect(tmp_path / "rows.parquet", data(), "the source") == 20


@ENDINGS
def test_a_source_without_labels_is_taken_where_they_are_described(name: str, tmp_path: Path) -> None:
    given = [{"text": f"text {i}", "channel": "email"} for i in range(20)]
    words = {"a": "about apples", "b": "about birds"}
    assert look(tmp_path / name, given, label_descriptions=words) == 20
    placed = [row | {"part": ["train", "dev", "test"][i % 3]} for i, row in enumerate(given)]
    assert look(tmp_path / name, placed, label_descriptions=words, split_column="part") == 20
    assert "has no column 'label'" in refusal(tmp_path / name, given)
    one = [row | {"label": "a"} for row in given]
    assert "has 1 labels, and two at least" in refusal(tmp_path / name, one, label_descriptions=words)


@pytest.mark.parametrize(
    ("splits", "changes", "told"),
    [
        (["train"], {}, "the source: no row falls into the test split: where a source says of some rows"),
        (["train"], {"test": "data/raw/own.csv"}, ""),
        (["train", "test"], {}, ""),
        (["train", "dev", "test"], {}, "the source names validation rows of its own, and data.validation_share 0.15"),
        (["train", "dev", "test"], {"validation_share": 0}, ""),
    ],
)
def test_a_column_of_splits_names_those_that_a_run_wants(
    splits: list[str], changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    given = [row | {"part": splits[i % len(splits)]} for i, row in enumerate(rows())]
    if told:
        assert refusal(tmp_path / "rows.csv", given, split_column="part", **changes).startswith(told)
    else:
        assert look(tmp_path / "rows.csv", given, split_column="part", **changes) == 20
