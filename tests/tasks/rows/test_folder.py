"""A folder of files: a folder per label, splits that are never labels, or a table beside the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.rows.folder import read_folder

Row = tuple[str, str | None, str | None]


def write(root: Path, *files: str) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return root


def rows(root: Path, max_rows: int = 100) -> list[Row]:
    found = read_folder(root, max_rows)
    columns = [found.table.column(name).to_pylist() for name in ("path", "label")]
    return list(zip(*columns, found.splits, strict=True))


def refusal(root: Path, max_rows: int = 100) -> str:
    with pytest.raises(InputError) as caught:
        read_folder(root, max_rows)
    (sentence,) = caught.value.sentences
    assert sentence.endswith(".")
    return sentence


def test_a_folder_is_a_label_whatever_lies_below(tmp_path: Path) -> None:
    write(tmp_path, "rose/b.jpg", "rose/a.jpg", "daisy/deep/er/c.png")
    assert rows(tmp_path) == [
        ("daisy/deep/er/c.png", "daisy", None),
        ("rose/a.jpg", "rose", None),
        ("rose/b.jpg", "rose", None),
    ]


@pytest.mark.parametrize(
    ("train", "other", "split"),
    [("train", "test", "test"), ("Training", "VAL", "validation"), ("train", "dev", "validation")],
)
def test_splits_are_taken_as_splits_and_never_as_labels(tmp_path: Path, train: str, other: str, split: str) -> None:
    write(tmp_path, f"{train}/rose/a.jpg", f"{other}/rose/b.jpg")
    assert sorted(rows(tmp_path)) == sorted(
        [(f"{train}/rose/a.jpg", "rose", "train"), (f"{other}/rose/b.jpg", "rose", split)]
    )


def test_a_label_may_be_called_test_where_nothing_is_called_train(tmp_path: Path) -> None:
    write(tmp_path, "test/a.jpg", "blank/b.jpg")
    assert [label for _, label, _ in rows(tmp_path)] == ["blank", "test"]


def test_a_label_beside_train_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/rose/a.jpg", "daisy/b.jpg")
    assert "'daisy' beside train" in refusal(tmp_path)


def test_a_test_folder_of_the_same_labels_beside_them_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.jpg", "dog/b.jpg", "test/cat/c.jpg", "test/dog/d.jpg")
    assert "'test' beside the labels that stand in it too" in refusal(tmp_path)


def test_a_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "rose"
    folder.mkdir()
    (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))).touch()
    assert "a file whose name is not UTF-8" in refusal(tmp_path)


def test_files_without_labels_may_be_wanted(tmp_path: Path) -> None:
    found = read_folder(write(tmp_path, "a.jpg", "b.jpg"), 10, labelled=False)
    assert found.table.column("path").to_pylist() == ["a.jpg", "b.jpg"]


def test_a_file_without_a_label_is_a_row_that_validation_will_name(tmp_path: Path) -> None:
    write(tmp_path, "readme.md", "rose/a.jpg")
    assert ("readme.md", None, None) in rows(tmp_path)


def test_hidden_files_are_not_rows(tmp_path: Path) -> None:
    write(tmp_path, ".gitignore", ".git/x", "rose/.DS_Store", "rose/a.jpg")
    assert [path for path, _, _ in rows(tmp_path)] == ["rose/a.jpg"]


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    assert "neither folders named by label nor a table" in refusal(write(tmp_path, "a.jpg", "b.jpg"))


def test_more_files_than_allowed_are_refused(tmp_path: Path) -> None:
    write(tmp_path, *(f"rose/{i}.jpg" for i in range(4)))
    assert len(rows(tmp_path, 4)) == 4
    assert "more than 3 files" in refusal(tmp_path, 3)


def test_a_table_beside_the_files_has_the_word(tmp_path: Path) -> None:
    write(tmp_path, "files/a.jpg")
    (tmp_path / "list.csv").write_text("file,kind,split\nfiles/a.jpg,rose,7\n")
    found = read_folder(tmp_path, 10)
    assert found.table.to_pylist() == [{"file": "files/a.jpg", "kind": "rose", "split": 7}] and found.splits == [None]


def test_tables_named_like_splits_are_splits(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text(f"path,label\n{name}.jpg,rose\n")
    assert rows(tmp_path) == [("test.jpg", "rose", "test"), ("train.jpg", "rose", "train")]


def test_two_tables_of_other_names_are_refused(tmp_path: Path) -> None:
    for name in ("a", "train"):
        (tmp_path / f"{name}.csv").write_text("path,label\nx.jpg,rose\n")
    assert "2 tables (a.csv, train.csv)" in refusal(tmp_path)


def test_tables_may_order_and_type_their_columns_otherwise(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("path,label,weight\nx.jpg,rose,1\n")
    (tmp_path / "test.csv").write_text("weight,label,path\n1.5,rose,y.jpg\n")
    assert rows(tmp_path) == [("y.jpg", "rose", "test"), ("x.jpg", "rose", "train")]


def test_tables_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("path,label\nx.jpg,rose\n")
    (tmp_path / "test.csv").write_text("path,kind\nx.jpg,rose\n")
    assert "differ in their columns" in refusal(tmp_path)


def test_rows_of_all_tables_count_together(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("path,label\nx.jpg,rose\ny.jpg,rose\n")
    assert "4 rows, over data.max_rows 3" in refusal(tmp_path, 3)
