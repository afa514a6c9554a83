"""Files are inspected once, and again when they, the settings or the code changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.modalities.contract import Inspected
from tasks.modalities.image import source
from tasks.modalities.image.settings import Settings
from tasks.rows import inspected

CELLS = ["a.png", "b.png", "gone.png"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Cells that the modality was asked about."""
    for number, name in enumerate(CELLS[:2]):
        Image.fromarray(np.full((9, 9, 3), number, dtype=np.uint8)).save(tmp_path / name)
    cells: list[str] = []
    real = source.inspect

    def counting(wanted: list[str], root: Path, settings: Settings):  # type: ignore[no-untyped-def]
        cells.extend(wanted)
        return real(wanted, root, settings)

    monkeypatch.setattr(source, "inspect", counting)
    return cells


def look(root: Path, max_pixels: int = 100, cells: list[str] = CELLS) -> list[Inspected]:
    return list(inspected.inspect(source, cells, root, Settings(max_pixels=max_pixels)))


def test_a_second_look_asks_only_for_what_was_not_there(tmp_path: Path, asked: list[str]) -> None:
    first = look(tmp_path)
    assert [one.fault for one in first] == [None, None, "no such file"] and asked == CELLS
    asked.clear()
    assert look(tmp_path) == first and asked == ["gone.png"]


def test_a_changed_file_is_looked_at_again(tmp_path: Path, asked: list[str]) -> None:
    first = look(tmp_path)
    asked.clear()
    (tmp_path / "a.png").write_bytes((tmp_path / "b.png").read_bytes())
    os.utime(tmp_path / "a.png", ns=(1, 1))
    again = look(tmp_path)
    assert "a.png" in asked and again[0].id == first[1].id


def test_another_limit_is_another_question(tmp_path: Path, asked: list[str]) -> None:
    look(tmp_path)
    assert look(tmp_path, max_pixels=64)[0].fault == "over preparation.image.max_pixels 64"


def test_a_cell_named_twice_has_one_answer(tmp_path: Path, asked: list[str]) -> None:
    first, second = look(tmp_path, cells=["a.png", "a.png"])
    assert first == second and asked == ["a.png"]
