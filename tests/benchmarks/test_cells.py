"""Cells outlive a kill, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from benchmarks import cells


def test_cells_come_back_in_order_and_by_their_values(tmp_path: Path) -> None:
    path = tmp_path / "work/cells.jsonl"
    assert cells.read(path) == []
    for draw, depth in ((0, 2), (1, 2), (0, 1)):
        cells.add(path, {"draw": draw, "depth": depth})
    assert cells.read(path, draw=0) == [{"draw": 0, "depth": 2}, {"draw": 0, "depth": 1}]
    assert cells.read(path, draw=0, depth=1) == [{"draw": 0, "depth": 1}]


def test_a_line_that_a_kill_cut_short_is_no_cell_and_spoils_no_later_file(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    cells.add(path, {"draw": 0})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"draw": 1, "real')
    assert cells.read(path) == [{"draw": 0}]
    cells.add(path, {"draw": 2})  # runs into the broken line and is measured once more
    cells.add(path, {"draw": 2})
    assert cells.read(path) == [{"draw": 0}, {"draw": 2}]
