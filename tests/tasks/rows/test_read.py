"""Files are read alike whatever their form, and each fault is told in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.params import Data
from tasks.rows.read import RawRows, own, read
from tasks.rows.table import read_table
from tests.factories import params

ROWS: list[dict[str, Any]] = [
    {"text": 'one, "two"\nthree', "label": "a", "channel": "email", "n": 1},
    {"text": "four", "label": "b", "channel": "chat", "n": 2},
    {"text": None, "label": "a", "channel": "email", "n": 3},
    {"text": "füñf", "label": None, "channel": "email", "n": 3},
]
CSV = 'text,label,channel,n\n"one, ""two""\nthree",a,email,1\nfour,b,chat,2\n,a,email,3\nfüñf,,email,3\n'


def settings(**changes: Any) -> Data:
    return params(**{f"data__{name}": value for name, value in ({"where": {}} | changes).items()}).data


def write(folder: Path, ending: str) -> Path:
    path = folder / f"rows{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        path.write_text(CSV, encoding="utf-8")
    return path


def refusal(path: Path, content: str | bytes | None = None, **changes: Any) -> str:
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read(path, settings(**changes))
    (sentence,) = caught.value.sentences
    assert path.name in sentence and sentence.endswith((".", "?"))
    return sentence


def test_a_label_nan_is_a_gap_in_a_csv_too(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\none,NaN\ntwo,nan\nthree,nana\nfour, nan \n")
    assert read(tmp_path / "rows.csv", settings()).labels == [None, None, "nana", None]


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".jsonl", ".parquet"])
def test_csv_jsonl_and_parquet_read_alike(tmp_path: Path, ending: str) -> None:
    found = read(write(tmp_path, ending), settings())
    assert found == RawRows(
        [1, 2, 3, 4], ['one, "two"\nthree', "four", None, "füñf"], ["a", "b", "a", None], [None] * 4, [None] * 4, 0
    )


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_where_keeps_rows_with_their_numbers(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, ending)
    found = read(path, settings(where={"channel": "email"}))
    assert (found.numbers, found.labels, found.left_out) == ([1, 3, 4], ["a", "a", None], 1)
    assert read(path, settings(where={"channel": "email", "n": 3})).numbers == [3, 4]


def test_labels_keep_their_form_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\none,007\ntwo,true\nthree,1.50\nfour,NULL\n")
    assert read(path, settings()).labels == ["007", "true", "1.50", "NULL"]


def test_number_labels_of_typed_files_become_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one", "label": 7}\n{"text": "two", "label": 8}\n')
    assert read(path, settings()).labels == ["7", "8"]


def test_texts_with_some_numbers_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n12,a\ntwelve,b\n")
    assert read(path, settings()).inputs == ["12", "twelve"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.csv").startswith(f"There is no file {tmp_path}/no.csv: put it there")


def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert "only files ending in .csv, .jsonl, .parquet are read" in refusal(tmp_path / "rows.xlsx", "x")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "is empty: it needs a header and rows" in refusal(tmp_path / "rows.csv", "")


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    assert "has a header but no rows" in refusal(tmp_path / "rows.csv", "text,label\n")


@pytest.mark.parametrize("column", ["text", "label", "other"])
def test_another_encoding_is_refused(tmp_path: Path, column: str) -> None:
    cells = {"text": "word", "label": "a", "other": "b"} | {column: "gr\xfc\xdfe"}
    content = "text,label,other\n" + ",".join(cells.values()) + "\n"
    assert "is not UTF-8" in refusal(tmp_path / "rows.csv", content.encode("latin-1"))


@pytest.mark.parametrize(("ending", "content"), [(".csv", "text,label\na,b,c\n"), (".jsonl", "{no json}\n")])
def test_a_broken_file_is_refused_with_its_form(tmp_path: Path, ending: str, content: str) -> None:
    assert f"cannot be read as {ending[1:].upper()} (" in refusal(tmp_path / f"rows{ending}", content)


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "rows.parquet", "no parquet at all")


@pytest.mark.parametrize(
    "changes", [{"input_column": "body"}, {"label_column": "body"}, {"where": {"body": "x"}}], ids=str
)
def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert f"has no column 'body': it has text, label; set data.{next(iter(changes))} to one of these, or" in refusal(
        tmp_path / "rows.csv", "text,label\na,b\n", **changes
    )


def test_numbers_as_text_are_refused(tmp_path: Path) -> None:
    assert "holds numbers, not text: set data.input_column" in refusal(tmp_path / "r.csv", "text,label\n1,a\n2.5,b\n")
    assert "holds int64, not text: set data.input_column" in refusal(tmp_path / "r.jsonl", '{"text":1,"label":"a"}\n')


def test_a_where_that_keeps_nothing_is_refused(tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "r.csv", "text,label\na,b\nc,d\n", where={"label": "e"})
    assert sentence == "data.where {'label': 'e'} keeps none of the 2 rows of r.csv: change it."


def test_more_rows_than_allowed_are_refused(tmp_path: Path) -> None:
    content = "text,label\na,b\nc,d\n"
    assert "has more rows than data.max_rows 1: raise it" in refusal(tmp_path / "r.csv", content, max_rows=1)
    assert len(read(tmp_path / "r.csv", settings(max_rows=2)).numbers) == 2


def test_utf16_is_told_by_its_name(tmp_path: Path) -> None:
    assert "is UTF-16, not UTF-8" in refusal(tmp_path / "rows.csv", CSV.encode("utf-16"))


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_columns_that_no_comma_separates_are_told_so(tmp_path: Path, separator: str, name: str) -> None:
    sentence = refusal(tmp_path / "rows.csv", CSV.replace(",", separator))
    assert sentence == f"rows.csv separates its columns by {name}: write it with commas."


@pytest.mark.parametrize("label", ["007", "true", "2024-01-01", "2024-01-01T10:00:00", "1.0"])
@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_label_that_looks_like_something_else_keeps_its_form(tmp_path: Path, ending: str, label: str) -> None:
    row = {"text": "word", "label": label, "channel": label}
    content = json.dumps(row) if ending == ".jsonl" else ",".join(row) + "\n" + ",".join(row.values()) + "\n"
    path = tmp_path / f"rows{ending}"
    path.write_text(content)
    assert read(path, settings(where={"channel": label})).labels == [label]


@pytest.mark.parametrize("number", [7, 0.5, True])
def test_it_does_beside_a_column_of_another_type(tmp_path: Path, number: float) -> None:
    days = ["2024-01-01", "2024-02-01T10:00:00"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": "word", "label": day, "who": number}) + "\n" for day in days))
    assert read(path, settings(group_column="who")).labels == days


def test_a_number_in_where_finds_the_label_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label,year\none,1,2020\ntwo,2,2021\n")
    assert read(path, settings(where={"label": 1})).inputs == ["one"]
    assert read(path, settings(where={"year": 2021})).inputs == ["two"]


def test_a_gap_in_a_column_of_numbers_is_no_label(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", "two"], "label": [1.5, float("nan")]}), tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet", settings()).labels == ["1.5", None]


def test_categories_of_parquet_are_read_as_their_texts(tmp_path: Path) -> None:
    columns = {"text": pa.array(["one", "two"]).dictionary_encode(), "label": pa.array(["a", "b"]).dictionary_encode()}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    found = read(tmp_path / "rows.parquet", settings())
    assert (found.inputs, found.labels) == (["one", "two"], ["a", "b"])


def test_bytes_that_parquet_calls_text_are_refused(tmp_path: Path) -> None:
    text = pa.array([b"gr\xfc\xdfe"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": text, "label": ["a"]}), tmp_path / "rows.parquet")
    assert "is not UTF-8" in refusal(tmp_path / "rows.parquet")


def test_pictures_beside_the_text_do_no_harm(tmp_path: Path) -> None:
    columns = {"text": ["one"], "label": ["a"], "thumb": pa.array([b"\xff\xd8"], type=pa.binary())}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet", settings()).inputs == ["one"]


def test_every_missing_column_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError) as caught:
        read(path, settings(where={"channel": "email"}))
    assert [sentence.split("'")[1] for sentence in caught.value.sentences] == ["text", "label", "channel"]


def test_a_row_in_the_place_of_the_header_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('"My name is Jo; card 4111 1111, call me!",a\nword,b\n')
    with pytest.raises(InputError) as caught:
        read(path, settings())
    assert "4111" not in str(caught.value) and "it has a, 1 that are not named here" in str(caught.value)


def test_a_file_too_large_to_be_read_at_once_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(InputError, match=r"2\.1 GB, over the 2\.1"):
        read_table(path, 10)


def test_a_broken_row_is_told_without_its_content(tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "rows.csv", b"text,label\nfine,a\nmy secret,b,too many\n")
    assert "Expected 2 columns, got 3" in sentence
    assert "secret" not in sentence


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "has column 'text' more than once" in refusal(tmp_path / "rows.csv", b"text,text,label\nx,y,a\n")


def test_a_row_longer_than_a_block_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"text,label\n{'long ' * 500_000},a\nshort,b\n")
    assert len(read(path, settings()).inputs) == 2


def test_a_rule_on_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    sentence = refusal(write(tmp_path, ".csv"), rules={"age": {"type": "number"}})
    assert "has no column 'age'" in sentence and "data.rules" in sentence


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_rules_are_checked_on_what_where_keeps(tmp_path: Path, ending: str) -> None:
    rules = {"n": {"type": "integer", "allowed": [3]}}
    found = read(write(tmp_path, ending), settings(where={"channel": "email"}, rules=rules))
    assert found.numbers == [1, 3, 4]
    assert found.faults == ["column 'n' has a value that is not allowed", None, None]


def test_a_rule_sees_what_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label,code\none,a,007\ntwo,b,7\n")
    assert read(path, settings(rules={"code": {"pattern": "00."}})).faults == [
        None, "column 'code' does not fit its pattern"
    ]  # fmt: skip


@pytest.mark.parametrize("column", ["group_column", "split_column", "time_column"])
def test_a_column_that_places_rows_is_wanted_of_the_source_and_not_of_what_came_later(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\none,a\n")
    with pytest.raises(InputError, match=rf"has no column 'who': .*\bdata\.{column}\b"):
        read(path, settings().model_copy(update={column: "who"}))
    assert read(path, own(settings().model_copy(update={column: "who"}))).inputs == ["one"]
