"""What the data say of themselves is guessed and told; what they do not say is asked."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tasks.project.guess import labels_of
from tests.guessing import LABELS, MODALITY, ROWS, TEXTS, files, look, refusal, table


def test_a_plain_table_is_guessed_and_told(tmp_path: Path) -> None:
    found = look(table(tmp_path / "a.csv", id=range(ROWS), body=TEXTS, mood=LABELS))
    assert (found.modality, found.input_column, found.label_column) == (MODALITY, "body", "mood")
    assert found.problem == "classification" and found.label_rows == [8, 8, 8] and not found.own_splits
    assert found.reasons == [
        f"Guessed: the examples are of modality {MODALITY}.",
        "Guessed: the examples stand in column body.",
        "Guessed: the label stands in column mood, the only column that repeats itself as labels do.",
        "Guessed: the problem is classification, with 3 labels.",
    ]


def test_what_is_given_is_not_guessed(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", title=TEXTS, body=TEXTS, label=LABELS, other=LABELS)
    found = look(path, input_column="title", label_column="other", modality=MODALITY)
    assert (found.input_column, found.label_column) == ("title", "other")
    assert found.reasons == ["Guessed: the problem is classification, with 3 labels."]


def test_other_columns_that_would_do_are_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", title=[text[4:] for text in TEXTS], body=TEXTS, label=LABELS)
    assert "Guessed: the examples stand in column body; --text names another, such as title." in look(path).reasons


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_the_other_formats(tmp_path: Path, ending: str) -> None:
    made = pa.table({"text": TEXTS, "spam": [i % 2 == 0 for i in range(ROWS)]})
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        made = made.set_column(1, "spam", made.column("spam").cast(pa.string()).dictionary_encode())
        pyarrow.parquet.write_table(made, path)
    else:
        path.write_text("".join(f'{{"text": "{t}", "spam": {"true" if s else "false"}}}\n' for t, s in zip(
            TEXTS, made.column("spam").to_pylist(), strict=True)))  # fmt: skip
    assert look(path).label_column == "spam"


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (("label", "region"), "label"),
        (("region", "Intent"), "Intent"),
        (("label", "fine_label"), "label"),
        (("Gold_Label", "region"), "Gold_Label"),
    ],
)
def test_one_telling_name_wins(tmp_path: Path, columns: Sequence[str], chosen: str) -> None:
    found = look(table(tmp_path / "a.csv", text=TEXTS, **dict.fromkeys(columns, LABELS)))
    assert found.label_column == chosen
    assert f"Guessed: the label stands in column {chosen}, by its name." in found.reasons


@pytest.mark.parametrize(
    ("columns", "asked"),
    [
        (("region", "mood"), ("region", "mood")),
        (("category", "label", "region"), ("category", "label")),
        (("coarse_label", "fine_label", "region"), ("coarse_label", "fine_label")),
    ],
)
def test_several_labels_are_a_question(tmp_path: Path, columns: Sequence[str], asked: Sequence[str]) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, **dict.fromkeys(columns, LABELS))
    assert refusal(path) == (
        f"The label's column cannot be known from a.csv: give one of {', '.join(asked)} with --label."
    )
    questions: list[tuple[str, Sequence[str]]] = []

    def answer(question: str, answers: Sequence[str]) -> str:
        questions.append((question, answers))
        return answers[1]

    found = look(path, ask=answer)
    assert found.label_column == asked[1]
    assert questions == [("The label's column?", [*asked])]
    assert not any("label stands" in reason for reason in found.reasons), "it was not guessed"


@pytest.mark.parametrize(
    "cells",
    [
        [i / 10 for i in range(ROWS // 2)] * 2,  # a number to predict
        range(ROWS),  # each once
        ["one"] * ROWS,
        ["train", "test", "Dev"] * (ROWS // 3),
        ["2024-01-01", "2024-01-02"] * (ROWS // 2),
        [""] * ROWS,
    ],
    ids=["fractions", "numbers", "constant", "splits", "dates", "empty"],
)
def test_what_is_no_label(tmp_path: Path, cells: Sequence[object]) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, other=cells)
    assert refusal(path).startswith("No column of a.csv repeats itself as labels do, and only classification is")
    assert look(table(path, text=TEXTS, other=cells, mood=LABELS)).label_column == "mood"


def test_a_column_that_stands_twice_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label,label,mood\n" + "".join(f"{text},a,b,{'cd'[i % 2]}\n" for i, text in enumerate(TEXTS)))
    assert look(path).label_column == "mood"
    assert "a.csv has column 'label' more than once: rename one" in refusal(path, label_column="label")


def test_labels_as_they_are_read_later() -> None:
    assert labels_of(pa.chunked_array([[" a", "b ", "", None]])) == ["a", "b", None, None]
    assert labels_of(pa.chunked_array([[True, False, None]])) == ["true", "false", None]
    assert labels_of(pa.chunked_array([[1.0, 2.0]])) == ["1.0", "2.0"]
    assert labels_of(pa.chunked_array([["1.5", "x"]])) == ["1.5", "x"], "one number is no number to predict"
    assert labels_of(pa.chunked_array([[1.5, 2.0]])) is None
    assert labels_of(pa.chunked_array([[["a"], ["b"]]])) is None
    assert labels_of(pa.chunked_array([[datetime.date(2024, 1, 1)]])) is None
    assert labels_of(pa.chunked_array([[b"a"]])) is None


def test_more_labels_than_a_guess_would_take_are_taken_at_the_users_word(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, label=[i // 2 for i in range(ROWS)])
    assert "holds 12 different values in 24 rows, and two to 11 labels" in refusal(path, max_labels=11)
    assert look(path, label_column="label", max_labels=11).label_rows == [2] * 12


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    files(tmp_path, *(f"{label}/{i}.png" for label in ("cat", "dog") for i in range(3)))
    found = look(tmp_path)
    assert found.modality != MODALITY and (found.input_column, found.label_column) == ("path", "label")
    assert found.label_rows == [3, 3]


def test_rows_that_the_source_calls_test_are_not_counted(tmp_path: Path) -> None:
    files(tmp_path, *(f"{split}/{label}/{i}.png" for split in ("train", "test") for label in "ab" for i in range(4)))
    found = look(tmp_path)
    assert found.own_splits == {"train", "test"} and found.label_rows == [4, 4]


def test_a_table_beside_its_files(tmp_path: Path) -> None:
    names = [f"shot {i}.jpg" for i in range(6)]
    files(tmp_path, *(f"files/{name}" for name in names))
    table(tmp_path / "index.csv", file=[f"files/{name}" for name in names], species=["a", "b"] * 3)
    found = look(tmp_path)
    assert (found.input_column, found.label_column) == ("file", "species")
    assert "give one of file, species with --text, or, where the rows name files, the folder" in refusal(
        tmp_path / "index.csv"
    )


WORDS = {"good": "praise", "bad": "a complaint", "fair": "neither"}


def test_described_labels_find_their_column(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", body=TEXTS, label=["x", "y"] * (ROWS // 2), mood=LABELS)
    found = look(path, described=WORDS)
    assert (found.label_column, found.label_rows) == ("mood", [8, 8, 8])
    assert "Guessed: the label stands in column mood, which holds all that are described." in found.reasons


@pytest.mark.parametrize("given", [None, "mood"])
@pytest.mark.parametrize("column", ["absent", "empty"])
def test_described_labels_answer_where_no_row_has_one(tmp_path: Path, given: str | None, column: str) -> None:
    name = given or "label"
    columns = {name: [None] * ROWS} if column == "empty" else {}
    found = look(table(tmp_path / "a.csv", body=TEXTS, **columns), described=WORDS, label_column=given)
    assert (found.input_column, found.label_column, found.label_rows) == ("body", name, [])
    assert found.reasons[-2:] == [
        "Guessed: no row has a label, so that the words of the described ones answer, unmeasured; labels that come "
        f"later are to stand in column {name}.",
        "Guessed: the problem is classification, with 3 labels.",
    ]
