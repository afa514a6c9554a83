"""Which columns name images, by what lies below the folder."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tasks.modalities.image.guess import inputs


def folder(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_paths_of_images_are_found(tmp_path: Path) -> None:
    paths = ["a/1.PNG", "a/2.JPG", "b/3.webp"]
    rows = pa.table({"path": paths, "label": ["a", "a", "b"], "size": [1, 2, 3]})
    assert inputs(rows, folder(tmp_path, *paths)) == ["path"]
    assert inputs(rows, None) == [], "a table alone has no files"
    assert inputs(rows, tmp_path / "a") == [], "they do not lie below this one"


def test_most_must_be_there(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "2.png", "3.txt")
    assert inputs(pa.table({"path": ["1.png", "2.png", "3.txt"]}), tmp_path) == ["path"]
    assert inputs(pa.table({"path": ["1.png", "3.txt"]}), tmp_path) == []
    assert inputs(pa.table({"path": ["1.png", "2.png", None, "9.png"]}), tmp_path) == []


def test_the_column_with_most_comes_first(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "2.png", "3.png")
    names = ["1.png", "2.png", "3.png"]
    rows = pa.table({"crop": ["1.png", "2.png", "9.png"], "image": names})
    assert inputs(rows, tmp_path) == ["image", "crop"]
    doubled = pa.Table.from_arrays([pa.array(names), pa.array(names)], names=["image", "image"])
    assert inputs(doubled, tmp_path) == []


def test_a_caption_that_ends_like_a_file_is_none(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "2.png")
    rows = pa.table({"caption": ["a cat", f"{'very ' * 60}large.png"], "path": ["1.png", "2.png"]})
    assert inputs(rows, tmp_path) == ["path"]
