"""What preparation writes is what the later phases read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks import prepared
from tests.factories import row

LABELS = ["a", "b", "unused"]


def saved(root: Path) -> prepared.Prepared:
    rows = [row("one", "b", "train"), row("two words", "a", "test"), row("drei", "a", "validation")]
    encoded = [{"input_ids": np.array(ids, dtype=np.int32)} for ids in ([5], [6, 7, 8], [9, 10])]
    prepared.save(root / prepared.FOLDER, rows, encoded, LABELS)
    return prepared.load(root)


def test_round_trip(tmp_path: Path) -> None:
    found = saved(tmp_path)
    assert len(found) == 3 and found.labels == LABELS
    assert found.inputs == ["one", "two words", "drei"]
    assert found.splits == ["train", "test", "validation"]
    assert found.classes.tolist() == [1, 0, 0] and found.classes.dtype == np.int64
    assert [list(r) for r in found.encoded] == [["input_ids"]] * 3
    assert [r["input_ids"].tolist() for r in found.encoded] == [[5], [6, 7, 8], [9, 10]]
    assert found.ids[0] == row("ONE ", "b", "train").id


def test_of_keeps_the_order_and_the_whole_label_set(tmp_path: Path) -> None:
    part = saved(tmp_path).of("validation", "train")
    assert part.inputs == ["one", "drei"] and part.classes.tolist() == [1, 0] and part.labels == LABELS
    assert [r["input_ids"].tolist() for r in part.encoded] == [[5], [9, 10]]
    assert len(saved(tmp_path).of("test").of("train")) == 0


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    saved(tmp_path / "one")
    saved(tmp_path / "two")
    first, second = (tmp_path / name / prepared.FOLDER / prepared.ROWS for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_every_row_is_told_with_its_place(tmp_path: Path) -> None:
    rows = [row("one", "b", "train", 7), row("two", "a", "test", 3, "own.csv")]
    encoded = [{"input_ids": np.array([5], dtype=np.int32)}] * 2
    prepared.save(tmp_path / prepared.FOLDER, rows, encoded, LABELS)
    assert prepared.places(tmp_path) == [("rows.csv", 7), ("own.csv", 3)]


def test_rows_without_labels_have_no_class(tmp_path: Path) -> None:
    encoded = [{"input_ids": np.array([5], dtype=np.int32)}]
    prepared.save(tmp_path / prepared.FOLDER, [row("one", None, "test")], encoded, LABELS)
    assert prepared.load(tmp_path).classes.tolist() == [-1] and not prepared.load(tmp_path).labelled
    assert saved(tmp_path).labelled
