"""The comparison with SetFit: what is told is of the draws that both have run."""

from __future__ import annotations

from pathlib import Path

from benchmarks import cells
from benchmarks.contrastive import PAIRS, report, settings


def test_a_line_a_set_of_the_draws_that_both_have_run(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    for draw, who, accuracy, cpu in [(0, "graft", 0.8, 10), (0, "setfit", 0.7, 30), (1, "graft", 0.1, 99)]:
        cells.add(path, {"set": "trec", "draw": draw, "who": who, "accuracy": accuracy, "cpu": cpu})
    assert report(path)[2:] == ["| trec | 1 | 60 | 80.0 | 70.0 | 10.0 | 30.0 | 3.00 |"]


def test_both_see_as_many_rows_a_step() -> None:
    found = settings(7, 3).adaptation.objective
    assert (found.kind, found.contrastive.steps, found.contrastive.batch_rows) == ("contrastive", 7, 2 * PAIRS)
