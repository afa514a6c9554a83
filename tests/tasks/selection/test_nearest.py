"""Reference sets in the order of their distance, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import read_json
from tasks.selection import distance
from tasks.selection.nearest import rank, sentences
from tests.projects import FILLER, WORDS, run_stage, write_project


def of(a_distance: float, discrepancy: float = 0.01) -> dict[str, Any]:
    return distance.record(a_distance, distance.Discrepancy(discrepancy, 0.0025), distance.Overlap(0.9, 0.5))


def test_nearest_first_and_the_discrepancy_decides_a_tie() -> None:
    found = rank({"a": of(1.5), "b": None, "c": of(0.5, 0.3), "d": of(0.5, 0.2)}, dict.fromkeys("abcd", 400) | {"b": 3})
    assert [one["name"] for one in found["ranked"]] == ["d", "c", "a", "b"]
    assert found["ranked"][2] == {"name": "a", "rows": 400, **of(1.5)}
    assert found["reading"] == (
        "Reference sets by proxy A-distance to the training rows, 2 at most, nearest first: d 0.50, c 0.50, a 1.50, "
        "b unknown (3 rows to compare, 10 are needed); so few rows do not tell c from d. To learn from one of them, "
        "try d first."
    )
    told = sentences(found)
    assert told[0] == found["reading"] and len(told) == 4
    assert told[1].startswith("Training rows are unlike reference set d: ")
    assert told[1].endswith("90% of the words in training rows occur in reference set d.")


@pytest.mark.parametrize(("rows", "apart"), [(400, True), (40, False)])
def test_whether_two_are_told_apart_depends_on_the_rows(rows: int, apart: bool) -> None:
    """Errors of 35 and 25 %: an interval of 3.3 points each at 800 rows, of 10.5 and 9.5 at 80."""
    said = rank({"a": of(0.6), "b": of(1.0)}, {"a": rows, "b": rows})["reading"]
    assert ("do not tell b from a" in said) != apart


def test_the_margin_by_hand() -> None:
    """An error of one half in 100 rows: 1.96 times four standard errors of 0.05."""
    assert distance.margin(0.0, 50) == pytest.approx(0.392)


def test_a_nearest_set_that_is_far_is_no_good_news() -> None:
    assert rank({"a": of(1.8)}, {"a": 400})["reading"].endswith("try a first, though it is far too.")
    assert "far" not in rank({"a": of(0.8)}, {"a": 400})["reading"].split("nearest first")[1]


def test_without_a_distance_there_is_no_advice() -> None:
    said = rank({"a": None}, {"a": 2})
    assert said["reading"].endswith("a unknown (2 rows to compare, 10 are needed).") and sentences(said) == [
        said["reading"]
    ]


def test_selection_ranks_what_the_params_name(tmp_path: Path) -> None:
    """Rows of the project's own kind, and rows of one word over and over."""
    root = write_project(tmp_path, selection__references={"far": "far.csv", "near": "near.csv", "few": "few.csv"})
    rows = (root / "data/raw/rows.csv").read_text().splitlines()[1:]
    turned = (" ".join(reversed(row.split(",")[0].split())) for row in rows)
    (root / "near.csv").write_text("\n".join(["text", *turned]))
    (root / "far.csv").write_text("\n".join(["text", *("lemon " * (2 + i) + FILLER[i % 8] for i in range(60))]))
    (root / "few.csv").write_text("\n".join(["text", *WORDS["bird"]]))
    run_stage(root, "selection")
    found = read_json(root / "data/selection/analysis.json")["references"]
    assert [one["name"] for one in found["ranked"]] == ["near", "far", "few"]
    near, far, few = found["ranked"]
    assert near["proxy_a_distance"] < 0.6 < 1.4 < far["proxy_a_distance"] and few["overlap"] is None
    assert far["overlap"]["words"] < near["overlap"]["words"] == 1.0
    summary = (root / "data/selection/summary.md").read_text()
    assert all(f"- {sentence}\n" in summary for sentence in sentences(found))
