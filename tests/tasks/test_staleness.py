"""What `graft status` says of a stage: few words, and none of DVC's tables."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.staleness import NEVER, why

PARAMS = {"params.yaml": {"project.seed": "modified", "selection.pools": "new"}}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"changed deps": {"data/raw/rows.csv": "modified"}}], "changed: data/raw/rows.csv"),
        ([{"changed deps": PARAMS}], "changed: params.yaml (project.seed, selection.pools)"),
        ([{"changed deps": {"code.yaml": {"selection": "modified"}}}, "always changed"], "changed: code"),
        ([{"changed outs": {"a": "deleted"}}, {"changed deps": {"b": "not in cache"}}], "not here: a, b"),
        (
            [{"changed deps": {"rows.csv": "modified"}}, {"changed outs": dict.fromkeys("abcde", "deleted")}],
            "changed: rows.csv; not here: a, b, c and 2 more",
        ),
        (["changed command"], "changed command"),
        ([{"changed command": {}}], "changed command"),
    ],
)
def test_a_stage_that_ran_says_what_changed_or_is_away(entries: list[Any], words: str) -> None:
    assert why(entries, ran=True) == words


def test_a_stage_that_never_ran_says_so_alone() -> None:
    assert why([{"changed deps": PARAMS}, {"changed outs": {"a": "deleted"}}], ran=False) == NEVER
