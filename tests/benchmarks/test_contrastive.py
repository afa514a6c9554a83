"""The comparison with SetFit: what is told is of the draws that SetFit has run too."""

from __future__ import annotations

from pathlib import Path

from benchmarks import cells
from benchmarks.contrastive import PAIRS, report, settings


def test_a_line_a_side_of_the_draws_that_setfit_has_too(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    for draw, who, accuracy, cpu in [
        (0, "graft", 0.8, 10), (1, "graft", 0.1, 99), (0, "shipped", 0.9, 5), (0, "setfit", 0.7, 30)
    ]:  # fmt: skip
        cells.add(path, {"set": "trec", "draw": draw, "who": who, "accuracy": accuracy, "cpu": cpu})
    assert report(path)[2:] == [
        "| trec | graft | 1 | 80.0 (80.0) | 70.0 | 10.0 | 3.00 |",
        "| trec | shipped | 1 | 90.0 (90.0) | 70.0 | 5.0 | 6.00 |",
        "| trec | setfit | 1 | 70.0 (70.0) | 70.0 | 30.0 | 1.00 |",
    ]


def test_both_see_as_many_rows_a_step() -> None:
    found = settings(7, 3).adaptation.objective
    assert (found.kind, found.contrastive.steps, found.contrastive.batch_rows) == ("contrastive", 7, 2 * PAIRS)
