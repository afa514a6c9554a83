"""Labels and pairs together: what is told is of the draws that all ways have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cells
from benchmarks.joint import SCOPES, WAYS, report, settings


def test_a_line_a_set_of_the_draws_that_all_ways_have_run(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    for draw, ways in ((0, [*WAYS]), (1, [*WAYS]), (2, ["labels"])):
        for place, way in enumerate(ways):
            key = {"set": "trec", "each": 32, "scope": "full", "draw": draw, "way": way}
            cells.add(path, key | {"accuracy": 0.5 + 0.1 * draw + 0.01 * place})
    (line,) = report(path)[2:]
    assert line.startswith("| trec, 32 | full | 2 | 55.0 | 56.0 | 57.0 |")


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("way", WAYS)
def test_a_way_changes_what_is_learned_from_alone(scope: str, way: str) -> None:
    found, plain = (settings(scope, one, 3).adaptation for one in (way, "labels"))
    assert found.scope.kind == scope and found.training == plain.training
    weight = found.objective.supervised.contrastive_weight
    assert (found.objective.kind, weight.on) == (
        "contrastive" if way == "pairs" else "auto",
        way not in ("labels", "pairs"),
    )
