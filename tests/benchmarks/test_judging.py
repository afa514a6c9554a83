"""Stored cells are judged leave-one-data-set-out, by the pipeline's own table; worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.judging import NEVER, by_table, draws, fitted, gap, judged, mean_gap, over, report

LOW, HIGH = "1000000000", "1110000000"  # 10 and 30 % right


def cells(name: str, size: int, draw: int = 0, **right: str) -> list[dict[str, Any]]:
    """A draw of two labels with as many rows of each, and its answers by strategy."""
    where = {"set": name, "size": str(size), "draw": draw}
    chosen = {"scopes": {"frozen": {"depth": 1}}}
    known = {"rows": 2 * size, "labels": 2, "chosen": chosen, "scored": [{"depth": 1, "accuracy": 0.5}]}
    answers = {"classical": LOW, "probe": LOW} | right
    return [where | known | {"strategy": "evidence"}] + [
        where | {"strategy": strategy, "right": bits} for strategy, bits in answers.items()
    ]


def pairs_win_under(name: str, border: int) -> list[dict[str, Any]]:
    both = {True: {"contrastive": HIGH, "full": LOW}, False: {"contrastive": LOW, "full": HIGH}}
    return [cell for size in (8, 32, 128) for cell in cells(name, size, **both[size < border])]


def test_the_gap_is_between_the_best_mean_and_the_mean_of_the_picks() -> None:
    whole = draws(cells("a", 8, 0, frozen=HIGH, full=LOW) + cells("a", 8, 1, frozen=LOW, full=LOW))
    of = whole["a", "8"]
    assert gap(of, lambda _: "frozen") == 0
    assert gap(of, lambda _: "full") == pytest.approx(20 - 10)


def test_a_draw_that_a_strategy_has_not_been_run_on_does_not_count() -> None:
    lacking = [cell for cell in cells("a", 8, 1, frozen=HIGH, full=LOW) if cell["strategy"] != "full"]
    whole = draws(cells("a", 8, 0, frozen=HIGH, full=LOW) + lacking)
    assert {where: len(of) for where, of in whole.items()} == {("a", "8"): 1}


def test_the_threshold_of_a_set_comes_from_the_others() -> None:
    # The reviews of two kinds of goods are one group: neither helps to choose the threshold of the other.
    whole = draws(
        [
            *pairs_win_under("trec", 32),
            *pairs_win_under("amazon_books", 128),
            *pairs_win_under("amazon_kitchen", 128),
        ]
    )
    assert fitted(whole) == 100
    held = judged(whole)
    assert {where[0]: threshold for where, (threshold, _) in held.items()} == {
        "trec": 100,
        "amazon_books": 20,
        "amazon_kitchen": 20,
    }
    assert gap(whole["trec", "32"], held["trec", "32"][1]) == pytest.approx(20)
    assert gap(whole["trec", "8"], held["trec", "8"][1]) == 0


def test_of_equal_thresholds_the_one_that_trains_less_is_taken() -> None:
    whole = draws(cells("a", 32, contrastive=HIGH, full=HIGH))
    assert fitted(whole) == NEVER


def test_the_pick_is_that_of_the_pipelines_table() -> None:
    whole = draws(pairs_win_under("a", 128))
    assert [by_table(100)(of[0].evidence) for of in whole.values()] == ["full", "contrastive", "contrastive"]
    assert mean_gap(whole, by_table(100)) == 0 and mean_gap({}, by_table(100)) == 0


def test_a_pick_is_compared_with_a_baseline_on_the_same_rows() -> None:
    of = draws(cells("a", 8, frozen="1110000000", full=LOW, probe="1100000000"))["a", "8"]
    value, low, high = over(of, lambda _: "frozen", "probe")
    error = 196 * np.std([0, 0, 1, 0, 0, 0, 0, 0, 0, 0], ddof=1) / np.sqrt(10)
    assert (value, low, high) == pytest.approx((10, 10 - error, 10 + error))


def test_the_report_has_a_line_a_set_and_size_and_what_one_scope_for_all_loses() -> None:
    lines = report(pairs_win_under("trec", 128) + pairs_win_under("sst2", 128))
    assert sum(line.startswith(("| trec |", "| sst2 |")) for line in lines) == 6
    assert any("left out 0.00 points" in line for line in lines)
    assert lines[-1] == "always contrastive 6.67; always full 13.33."
    assert report([]) == ["No draw has been run with every strategy."]
