"""Sets that are compared with the project's own examples: what is taken of them, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.rows.references import ROWS, load
from tests.factories import params
from tests.projects import write_images


def loaded(root: Path, **paths: str) -> dict[str, list[str]]:
    return load(root, params(selection__references=paths))


def test_examples_need_no_label_and_come_once(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("text\nan apple\nAn  APPLE\n\na pear\n")
    (tmp_path / "two.jsonl").write_text(json.dumps({"text": "a plum", "label": 3}) + "\n")
    found = loaded(tmp_path, one="one.csv", two="two.jsonl")
    assert {name: len(texts) for name, texts in found.items()} == {"one": 2, "two": 1}
    assert "a pear" in found["one"] and found["two"] == ["a plum"]


def test_rows_that_the_project_would_not_keep_are_examples_here(tmp_path: Path) -> None:
    """`data.where` names e-mails in the repo's params; a set of another source has no such column."""
    (tmp_path / "one.csv").write_text("text,channel\nan apple,chat\n")
    assert loaded(tmp_path, one="one.csv") == {"one": ["an apple"]}


def test_of_many_rows_the_same_few_are_taken_in_any_order(tmp_path: Path) -> None:
    lines = [f"text number {i}" for i in range(2 * ROWS)]
    (tmp_path / "one.csv").write_text("\n".join(["text", *lines]))
    (tmp_path / "two.csv").write_text("\n".join(["text", *reversed(lines)]))
    found = loaded(tmp_path, one="one.csv", two="two.csv")
    assert len(found["one"]) == ROWS and found["one"] == found["two"]


def test_files_of_a_folder_are_named_from_the_project(tmp_path: Path) -> None:
    write_images(tmp_path / "pictures")
    shutil.copytree(tmp_path / "pictures/left", tmp_path / "loose")
    (tmp_path / "loose/broken.png").write_text("no image")
    made = params(
        project__modality="image", data__input_column="path", selection__references={"a": "pictures", "b": "loose"}
    )
    found = load(tmp_path, made)
    assert {name: len(cells) for name, cells in found.items()} == {"a": 180, "b": 60}
    assert all((tmp_path / cell).is_file() for cells in found.values() for cell in cells)


def test_every_fault_names_its_set(tmp_path: Path) -> None:
    (tmp_path / "body.csv").write_text("body\nx\n")
    (tmp_path / "empty.csv").write_text('text,label\n"",a\n')
    (tmp_path / "numbers.csv").write_text("text\n1\n2.5\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, a="gone.csv", b="body.csv", c="empty.csv", d="numbers.csv", e="folder")
    expected = {
        "a": "There is no file", "b": "body.csv has no column 'text'", "c": "empty.csv holds no usable example",
        "d": "Column 'text' of numbers.csv holds numbers", "e": "folder is a folder",
    }  # fmt: skip
    for sentence, (name, words) in zip(caught.value.sentences, expected.items(), strict=True):
        assert sentence.startswith(f"selection.references.{name}: {words}"), sentence
