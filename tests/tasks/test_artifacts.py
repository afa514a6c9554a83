"""Files that cross a border are whole or absent, and the same value makes the same bytes."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import pyarrow as pa
import pytest

from tasks import artifacts


def test_canonical_json_is_the_same_text_for_the_same_value() -> None:
    assert artifacts.canonical_json({"b": [1], "a": "é"}) == '{\n "a": "é",\n "b": [\n  1\n ]\n}\n'
    assert artifacts.canonical_json({"a": 1, "b": 2}) == artifacts.canonical_json({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_canonical_json_has_no_number_that_other_readers_refuse(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.canonical_json({"a": value})


def test_json_round_trip_makes_its_folders(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "a/b/c.json", {"ä": [None, 1.5]})
    assert artifacts.read_json(tmp_path / "a/b/c.json") == {"ä": [None, 1.5]}


def test_a_table_of_cells_has_a_header_and_an_empty_cell_for_none(tmp_path: Path) -> None:
    artifacts.write_csv(
        tmp_path / "a.csv", [{"step": 1, "loss": 0.5, "why": "a, b"}, {"step": 2, "loss": None, "why": "c"}]
    )
    assert (tmp_path / "a.csv").read_text() == 'step,loss,why\n1,0.5,"a, b"\n2,,c\n'


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    artifacts.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        artifacts.write_text(path, "half\ud800")

    def broken(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk"):
        artifacts.write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_others_may_not_read_is_never_theirs_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    given = os.chmod

    def chmod(path: str, mode: int) -> None:
        given(path, mode)
        modes.append(os.stat(path).st_mode & 0o777)

    monkeypatch.setattr(os, "chmod", chmod)
    artifacts.write_text(tmp_path / "secret", "password", mode=0o600)
    artifacts.write_text(tmp_path / "open", "text")
    assert modes == [0o600, 0o644]
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("secret", "open")] == modes


def test_hashes_are_plain_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "CHUNK_BYTES", 3)
    (tmp_path / "f").write_bytes(b"abcdefgh")
    assert artifacts.sha256_file(tmp_path / "f") == hashlib.sha256(b"abcdefgh").hexdigest()
    assert artifacts.sha256_text("ä") == hashlib.sha256("ä".encode()).hexdigest()


def test_a_folders_hashes_are_sorted_by_posix_path(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a/y"):
        artifacts.write_text(tmp_path / name, name)
    assert list(artifacts.sha256_folder(tmp_path).items()) == [
        (name, hashlib.sha256(name.encode()).hexdigest()) for name in ("a/y", "a/z", "b")
    ]


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for name in ("old", "new"):
        with artifacts.new_folder(target) as folder:
            assert folder.parent == tmp_path and folder != target
            (folder / name).touch()
    assert [entry.name for entry in target.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert target.stat().st_mode & 0o777 == 0o755


def test_a_new_folder_that_fails_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with artifacts.new_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(RuntimeError), artifacts.new_folder(target) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert [entry.name for entry in target.iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_replace_puts_a_file_in_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    artifacts.replace(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new" and not (tmp_path / "new").exists()


def test_a_table_opens_as_a_hugging_face_dataset(tmp_path: Path) -> None:
    from datasets import Dataset

    table = pa.table({"id": ["a", "b"], "ids": [[1, 2], [3]]})
    artifacts.write_table(tmp_path / "sub/t.arrow", table)
    assert artifacts.read_table(tmp_path / "sub/t.arrow").equals(table)
    assert Dataset.from_file(str(tmp_path / "sub/t.arrow")).to_list() == table.to_pylist()


def test_a_table_is_the_same_bytes_however_it_was_chunked(tmp_path: Path) -> None:
    whole = pa.table({"a": [1, 2, 3]})
    artifacts.write_table(tmp_path / "one", whole)
    artifacts.write_table(tmp_path / "two", pa.concat_tables([whole.slice(0, 1), whole.slice(1)]))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
