"""Cells of the search's benchmark as lines: draws are compared one by one, and only where both ways were measured."""

from __future__ import annotations

from typing import Any

from benchmarks.search import table


def cell(way: str, draw: int, accuracy: float, seconds: float, stopped: int = 0) -> dict[str, Any]:
    rest = {"log_loss": 0.5, "learning_rate": 0.0001, "stopped": stopped}
    return {"set": "trec", "way": way, "draw": draw, "accuracy": accuracy, "seconds": seconds} | rest


def test_a_line_by_hand() -> None:
    found = [cell("two rates", 0, 80.0, 10.0), cell("two rates", 1, 70.0, 20.0)]
    found += [cell("8 trials of 4 epochs", 1, 72.5, 40.0, 3), cell("8 trials of 4 epochs", 2, 99.0, 99.0)]
    assert table(found) == [
        "| trec | two rates | 75.0 % | +0.0, +0.0 | 0.500 | 15 | 0.0001, 0.0001 | 0 |",
        "| trec | 8 trials of 4 epochs | 72.5 % | +2.5 | 0.500 | 40 | 0.0001 | 3 |",
    ]
