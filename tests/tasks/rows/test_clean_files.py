"""Rows that are files: they lie in their own folder, and no copy crosses into the source's own test rows."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.rows.clean import Clean, load
from tests.factories import params


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(path)


def split_folders(root: Path, train: str = "train", rows: int = 12) -> Path:
    """Pictures of two labels below two splits, each its own."""
    for s, split in enumerate((train, "test")):
        for number in range(rows):
            picture(root / "data" / split / "ab"[number % 2] / f"{number}.png", 1000 * s + number)
    return root


def loaded(root: Path, **changes: Any) -> Clean:
    leaves = {"data__path": "data", "data__where": {}, "data__min_rows_per_label": 2, "project__modality": "image"}
    leaves |= {"data__input_column": "path", "data__validation_share": 0.4}
    return load(root, params(**leaves | changes))


def reasons(found: Clean) -> dict[str | None, str]:
    return {fault.input: fault.reason for fault in found.quarantined}


def test_folders_that_are_splits_place_their_rows(tmp_path: Path) -> None:
    found = loaded(split_folders(tmp_path))
    assert {row.input.split("/")[1] for row in found.of("test")} == {"test"} and len(found.of("test")) == 12
    assert {row.split for row in found.rows if "/train/" in row.input} == {"train", "validation"}
    assert found.rows[0].size == 36


def test_the_largest_gif_there_can_be_is_quarantined_as_any_other(tmp_path: Path) -> None:
    split_folders(tmp_path)
    screen, frame = struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0), struct.pack("<4HB", 0, 0, 65_535, 65_535, 0)
    (tmp_path / "data/train/a/large.gif").write_bytes(b"GIF89a" + screen + b"," + frame + b"\x02\0;")
    assert reasons(loaded(tmp_path))["data/train/a/large.gif"].startswith("over preparation.image.max_pixels")


@pytest.mark.parametrize("train", ["train", "Train"])
def test_a_copy_of_a_test_row_leaves_whatever_the_folders_order(tmp_path: Path, train: str) -> None:
    split_folders(tmp_path, train)
    copy = tmp_path / "data" / train / "b/copy.png"
    copy.write_bytes((tmp_path / "data/test/a/0.png").read_bytes())
    found = loaded(tmp_path)
    assert reasons(found)[f"data/{train}/b/copy.png"].startswith("duplicate of test row")
    assert len(found.of("test")) == 12


def test_a_copy_in_a_validation_folder_leaves_too(tmp_path: Path) -> None:
    split_folders(tmp_path)
    picture(tmp_path / "data/dev/a/1.png", 777)
    (tmp_path / "data/dev/a/copy.png").write_bytes((tmp_path / "data/test/a/0.png").read_bytes())
    found = loaded(tmp_path, data__validation_share=0)
    assert "data/dev/a/copy.png" in reasons(found)
    assert [row.input for row in found.of("validation")] == ["data/dev/a/1.png"]


def test_a_folder_of_training_rows_alone_is_refused_or_a_folder_test_would_move_them(tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / "data/train" / "ab"[number % 2] / f"{number}.png", number)
    with pytest.raises(InputError, match="data: no row falls into the test split: where a source says of some rows"):
        loaded(tmp_path)


def test_test_rows_of_a_source_whose_test_set_is_another_are_quarantined(tmp_path: Path) -> None:
    split_folders(tmp_path)
    for number in range(4):
        picture(tmp_path / "other" / "ab"[number % 2] / f"{number}.png", 5000 + number)
    found = loaded(tmp_path, data__test="other")
    assert {row.input.split("/")[0] for row in found.of("test")} == {"other"}
    assert list(reasons(found).values()) == ["test row of a source whose test set data.test names"] * 12


@pytest.mark.parametrize("cell", ["../root.png", "sub/../../root.png", "/etc/hostname"])
def test_a_path_that_leaves_its_folder_is_quarantined(tmp_path: Path, cell: str) -> None:
    picture(tmp_path / "root.png", 1)
    lines = [f"sub/../{number}.png,{'ab'[number % 2]}" for number in range(30)]
    for number in range(30):
        picture(tmp_path / "data" / f"{number}.png", number)
    (tmp_path / "data/list.csv").write_text("\n".join(["path,label", *lines, f"{cell},a"]) + "\n")
    found = loaded(tmp_path)
    assert len(found.rows) == 30 and [fault.number for fault in found.quarantined] == [31]
    assert "leads out" in found.quarantined[0].reason


def test_a_table_of_files_is_named_by_its_folder(tmp_path: Path) -> None:
    split_folders(tmp_path)
    (tmp_path / "list.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=r"list\.csv is a file, but the examples of modality image are files"):
        loaded(tmp_path, data__path="list.csv")


def test_texts_stand_in_a_file(tmp_path: Path) -> None:
    split_folders(tmp_path)
    with pytest.raises(InputError, match="data is a folder, but the examples of modality text stand in a table"):
        loaded(tmp_path, project__modality="text")
