"""Data of which nothing can be guessed, and what is given and does not fit them, are refused in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tasks.modalities import MODALITIES
from tests.guessing import LABELS, MODALITY, ROWS, TEXTS, files, look, refusal, table


def test_too_many_values_are_no_labels(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, code=[i // 2 for i in range(ROWS)], mood=LABELS)
    assert look(path, max_labels=11).label_column == "mood"
    assert "give one of code, mood" in refusal(path, max_labels=12)


def test_a_label_by_name_that_is_none_leaves_nothing_to_guess(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, label=[i + 0.5 for i in range(ROWS)], region=LABELS)
    assert refusal(path) == "The label's column cannot be known from a.csv: give one of region with --label."


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"label_column": "mod"}, "a.csv has no column 'mod': it has text, score, mood, same; give one of these with"),
        ({"input_column": "tex"}, "give one of these with --text"),
        (
            {"label_column": "score"},
            "Column score of a.csv holds numbers with fractions, dates or lists, and only class",
        ),
        ({"label_column": "same"}, "Column same of a.csv holds one value in 24 rows, and two to 100 labels are wanted"),
        ({"label_column": "text"}, "Column text of a.csv is to hold both examples and labels: name two columns with"),
        ({"modality": "smell"}, "There is no modality smell: give one of "),
    ],
)
def test_what_is_given_must_fit(tmp_path: Path, given: dict[str, str], words: str) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, score=[i + 0.5 for i in range(ROWS)], mood=LABELS, same=["x"] * ROWS)
    assert words in refusal(path, **given)


def test_too_many_given_labels(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, code=range(ROWS))
    assert "holds 24 different values in 24 rows, and two to 20 labels" in refusal(
        path, label_column="code", max_labels=20
    )


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["x"] * ROWS, "Column label of a.csv holds one value in 24 rows, and two to 100 labels are wanted"),
        (range(ROWS), "No column of a.csv repeats itself as labels do"),
        ([i + 0.5 for i in range(ROWS)], "Column label of a.csv holds numbers with fractions"),
    ],
)
def test_what_a_column_called_label_lacks_is_told(tmp_path: Path, cells: Sequence[object], words: str) -> None:
    assert refusal(table(tmp_path / "a.csv", text=TEXTS, label=cells)).startswith(words)


def test_examples_in_bytes_are_refused(tmp_path: Path) -> None:
    made = pa.table({"text": [text.encode() for text in TEXTS], "number": range(ROWS), "mood": LABELS})
    pyarrow.parquet.write_table(made, tmp_path / "a.parquet")
    for column, kind in (("text", "binary"), ("number", "int64")):
        assert refusal(tmp_path / "a.parquet", input_column=column) == (
            f"Column {column} of a.parquet holds {kind}, not text: name another with --text, or cast it at the source."
        )
    assert refusal(tmp_path / "a.parquet").startswith("The column of the examples cannot be known from a.parquet")


def test_no_column_looks_like_an_example(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", code=[f"x{i}" for i in range(ROWS)], mood=LABELS)
    assert refusal(path) == (
        "The column of the examples cannot be known from a.csv: give one of code, mood with --text, or, where the rows "
        "name files, the folder that holds both with --data."
    )
    assert look(path, input_column="code").input_column == "code"
    assert look(path, ask=lambda question, answers: answers[0]).input_column == "code"


def test_a_file_without_a_header_is_told_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "".join(f'"{text}, says Ada Lovelace!","{label}"\n' for text, label in zip(TEXTS, LABELS, strict=True))
    )
    assert refusal(path) == (
        "a.csv seems to have no header, for the name of column 2 is also one of its values: put the columns' names on "
        "a first line, or name the columns with --text and --label."
    )


def test_a_column_with_an_odd_name_is_told_by_its_number(tmp_path: Path) -> None:
    odd = "I was charged twice; call me on 555-0100, Ada"
    found = look(table(tmp_path / "a.csv", **{odd: TEXTS, "mood": LABELS}))
    assert found.input_column == odd
    assert "Guessed: the examples stand in column number 1." in found.reasons
    assert not any("Ada" in reason for reason in found.reasons)
    both = table(tmp_path / "b.csv", text=TEXTS, **{odd: LABELS, "mood": LABELS})
    assert "give one of number 2, mood with --label" in refusal(both)
    assert look(both, ask=lambda question, answers: answers[0]).label_column == odd


def test_a_folder_of_what_nobody_reads(tmp_path: Path) -> None:
    files(tmp_path, *(f"{label}/{i}.xyz" for label in ("cat", "dog") for i in range(3)))
    sentence = refusal(tmp_path)
    assert sentence.startswith(f"The folder {tmp_path.name} names no files of modality ")
    assert MODALITY not in sentence, "its examples are no files"
    assert sentence.endswith("give that table with --data.")


def test_a_modality_of_files_needs_a_folder(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", text=TEXTS, mood=LABELS)
    (other,) = [name for name in MODALITIES if name != MODALITY]
    assert refusal(path, modality=other) == (
        f"a.csv is a file, but examples of modality {other} are files of their own: give the folder that holds them, "
        "by label or beside their table, with --data."
    )


def test_described_labels_that_no_column_holds_are_no_excuse_for_another(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", body=TEXTS, label=LABELS)
    sentence = refusal(path, described={"Good": "praise", "bad": "a complaint"})
    assert sentence.startswith("No column of a.csv holds all labels that --describe names, and label is taken")


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"good": "praise"}, "name each of two labels at least"),
        ({"1": "1", "2": "2"}, "Labels without a letter (1, 2)"),
    ],
)
def test_too_little_is_described(tmp_path: Path, described: dict[str, str], told: str) -> None:
    assert told in refusal(table(tmp_path / "a.csv", body=TEXTS), described=described)
